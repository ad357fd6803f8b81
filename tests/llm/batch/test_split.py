"""Each caller gets its own vectors, with their bytes, and its share of the usage."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.batch import Answer, Asked, Part, merge, read, split
from tests.llm.batch.test_asked import INPUTS


def reply(rows: list[tuple[int, str]], usage: object = None, **more: object) -> bytes:
    """A joint reply, as a server writes it that has its own idea of white space."""
    data = ", ".join(
        f'{{"object": "embedding", "index": {index}, "embedding": {vector}}}'
        for index, vector in rows
    )
    rest = json.dumps({"usage": usage, "model": "m-1", **more})[1:]
    return f'{{"object": "list", "data": [{data}], {rest}'.encode()


def parts(*each: tuple[tuple[int, ...], int]) -> list[Part]:
    return [Part(*one) for one in each]


def test_two_callers() -> None:
    joint = reply(
        [(0, "[1.10, 2e-3]"), (2, '"AAAA"'), (1, "[-0.0]")],
        {"prompt_tokens": 9, "total_tokens": 9},
    )
    one, other = found(split(joint, parts(((0, 1), 2), ((0,), 1))))
    assert one.body == (
        b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.10, 2e-3]},'
        b'{"object":"embedding","index":1,"embedding":[-0.0]}],'
        b'"model":"m-1","usage":{"prompt_tokens":6,"total_tokens":6}}'
    )
    assert json.loads(other.body)["data"] == [
        {"object": "embedding", "index": 0, "embedding": "AAAA"}
    ]
    assert other.usage == {"prompt_tokens": 3, "total_tokens": 3}
    assert other.model == "m-1"


def found(answers: list[Answer] | None) -> list[Answer]:
    assert answers is not None
    return answers


def test_dropped_items_leave_gaps_in_the_indices() -> None:
    [answer] = found(split(reply([(0, "[1]"), (1, "[2]")]), parts(((1, 3), 2))))
    assert [row["index"] for row in json.loads(answer.body)["data"]] == [1, 3]


def test_members_that_we_dont_know_are_passed_on() -> None:
    joint = reply([(0, "[1]"), (1, "[2]")], {"cost": 0.5, "note": "x", "details": {"text": 3}})
    one, other = found(split(joint, parts(((0,), 1), ((0,), 1))))
    assert json.loads(one.body)["usage"] == {"cost": 0.25, "note": "x", "details": {"text": 2}}
    assert json.loads(other.body)["usage"] == {"cost": 0.25, "note": "x", "details": {"text": 1}}
    [answer] = found(split(reply([(0, "[1]")], None, id="e-1"), parts(((0,), 1))))
    assert json.loads(answer.body)["id"] == "e-1"
    assert json.loads(answer.body)["usage"] is None
    assert answer.usage == {}


@pytest.mark.parametrize(
    "joint",
    [
        b"",
        b"[]",
        b'{"error":{"message":"no"}}',
        b'{"data":null}',
        b'{"data":[{"index":0}]}',
        b'{"data":[{"embedding":[1]},{"embedding":[2]}]}',  # whose is which?
        reply([(0, "[1]")]),  # one vector for two
        reply([(0, "[1]"), (0, "[2]")]),
        reply([(0, "[1]"), (2, "[2]")]),
        reply([(0, "[1]"), (-1, "[2]")]),
        reply([(0, "[1]"), (1, "[2]"), (2, "[3]")]),
        reply([(0, "[1]"), (1, "[2]")])[:-1],
    ],
)
def test_what_has_not_one_vector_for_each_is_not_split(joint: bytes) -> None:
    assert split(joint, parts(((0,), 1), ((0,), 1))) is None


def serve(body: bytes, seed: int) -> bytes:
    """A server: a vector is a function of its item; the order of the rows is its own."""
    request = json.loads(body)
    rows = [(index, vector(item, request)) for index, item in enumerate(request["input"])]
    Random(seed).shuffle(rows)
    tokens = sum(len(str(item)) for item in request["input"])
    return reply(rows, {"prompt_tokens": tokens, "total_tokens": tokens})


def vector(item: Any, request: dict[str, Any]) -> str:
    numbers = Random(f"{item} {request.get('dimensions')}")
    if request.get("encoding_format") == "base64":
        return json.dumps(str(numbers.random()))
    return f"[{numbers.random()}, {numbers.random():.3e}]"


PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "encoding_format": st.sampled_from(["float", "base64"]),
        "dimensions": st.sampled_from([8, 16]),
    },
)


@given(st.lists(INPUTS, min_size=1, max_size=8), PARAMETERS, st.integers(0, 9))
def test_any_mixture_is_split_as_if_it_had_not_been_joined(
    inputs: list[Any], parameters: dict[str, Any], seed: int
) -> None:
    groups: dict[bytes, list[Asked]] = {}
    for given_ in inputs:
        body = json.dumps({"model": "m", "input": given_, **parameters}).encode()
        asked = read(body)
        assert isinstance(asked, Asked)
        groups.setdefault(asked.kind, []).append(asked)
    for together in groups.values():
        joint = serve(merge(together), seed)
        answers = found(split(joint, [Part(a.places, sum(a.tokens)) for a in together]))
        total = json.loads(joint)["usage"]["total_tokens"]
        assert sum(answer.usage["total_tokens"] for answer in answers) == total
        for asked, answer in zip(together, answers, strict=True):
            alone = json.loads(serve(merge([asked]), 0))
            mine = json.loads(answer.body)
            assert mine["data"] == sorted(alone["data"], key=lambda row: int(row["index"]))
            assert {**mine, "data": [], "usage": {}} == {**alone, "data": [], "usage": {}}
