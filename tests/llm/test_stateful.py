"""Which ids a request asks for, and which a reply tells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.stateful import Told, asked_in, named_in


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/v1/responses", ("responses", None, None)),
        (b"/v1/responses/", ("responses", None, None)),
        (b"/v1/responses/resp_1?stream=true&starting_after=4", ("responses", "resp_1", None)),
        (b"/v1/responses/resp_1/input_items?after=msg_1", ("responses", "resp_1", None)),
        (b"/openai/v1/responses/resp_1/cancel", ("responses", "resp_1", None)),
        (b"/v1/responses/compact", ("responses", None, None)),
        (b"/v1/responses/input_tokens", ("responses", None, None)),
        (b"/v1/conversations/conv_1/items/msg_2", ("conversations", "conv_1", None)),
        (b"/v1/vector_stores/vs_1/files/file-2", ("vector_stores", "vs_1", None)),
        (b"/v1/files/file-1/content", ("files", "file-1", None)),
        (b"/v1/messages/batches/msgbatch_1/results", ("batches", "msgbatch_1", None)),
        (b"/v1/files?limit=3", ("files", None, None)),
        (b"/v1/files?limit=3&after=file-2&order=asc", ("files", None, "file-2")),
        (b"/v1/messages/batches?before_id=msgbatch_2", ("batches", None, "msgbatch_2")),
        (b"/v1/files?hereafter=file-2&after=%20", ("files", None, None)),
        (b"/v1/files/" + b"x" * 300, ("files", None, None)),
        (b"/v1/chat/completions", None),
        (b"/v1/chat?next=/files/file-1", None),
        (b"/v1/profiles/a", None),
    ],
)
def test_paths(path: bytes, expected: tuple[str, str | None, str | None] | None) -> None:
    assert named_in(path) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"model": "m", "previous_response_id": "resp_1"}, ["resp_1"]),
        ({"previous_response_id": None, "conversation": None}, []),
        ({"conversation": "conv_1"}, ["conv_1"]),
        ({"conversation": {"id": "conv_1"}, "x": 1}, ["conv_1"]),
        ({"input_file_id": "file-1", "endpoint": "/v1/responses"}, ["file-1"]),
        (
            {
                "input": [
                    {"type": "reasoning", "id": "rs_1", "encrypted_content": "x"},
                    {"type": "message", "id": "msg_1"},
                    {"type": "reasoning", "id": "rs_2", "encrypted_content": "x"},
                    {"content": [{"type": "input_file", "file_id": "file-1"}]},
                ],
                "previous_response_id": "resp_1",
            },
            ["resp_1", "rs_2", "rs_1", "file-1"],
        ),
        (
            {
                "input": [
                    {"type": "item_reference", "id": "msg_1"},
                    {"role": "user", "content": '{"type": "item_reference", "id": "msg_9"}'},
                    {"id": "fc_2", "type": "item_reference"},
                    {"id": "rs_3", "type": "item_reference"},
                    {"id": "msg_4", "type": "message"},
                    {"type": "compaction", "id": "cmp_5", "encrypted_content": "x"},
                ]
            },
            ["rs_3", "fc_2", "msg_1", "cmp_5"],
        ),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, ["cntr_1"]),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, []),
        ({"tools": [{"container": "auto"}], "input": "rs_1"}, []),
        ({"input": '{"previous_response_id": "resp_1"}'}, []),
        ({"previous_response_id": "x" * 300}, []),
        (["no", "object"], []),
    ],
)
def test_bodies(body: Any, expected: list[str]) -> None:
    for spaces in ({}, {"indent": 1}, {"separators": (",", ":")}):
        assert asked_in(json.dumps(body, **spaces).encode()) == expected


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "output": [
        {"id": "rs_1", "type": "reasoning"},
        {"id": "msg_1", "content": [{"text": 'it said {"id": "file-9"}'}]},
    ],
    "metadata": {"id": "mine"},
}


@given(cuts=st.lists(st.integers(0, 400)))
def test_replies_split_anywhere(cuts: list[int]) -> None:
    text = json.dumps(RESPONSE).encode()
    told, at = Told(), 0
    found: list[str] = []
    for cut in [*sorted(cuts), len(text)]:
        found += told.feed(text[at:cut])
        at = max(at, cut)
    assert list(dict.fromkeys(found)) == ["resp_1", "rs_1"]


def test_items_count_where_a_reply_is_made_of_them() -> None:
    text = json.dumps(RESPONSE).encode()
    assert list(Told(items=True).feed(text)) == ["resp_1", "rs_1", "msg_1"]


def test_the_first_id_counts_whatever_it_looks_like() -> None:
    batch = {"id": "7", "output_file_id": "file-2", "error_file_id": None, "input_file_id": "f"}
    assert list(Told().feed(json.dumps(batch).encode())) == ["7", "file-2"]
