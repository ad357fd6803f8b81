"""What is masked in a body of any API, and what stays byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.llm.redact.mask import mask
from sidecar.llm.redact.restore import Restorer
from sidecar.llm.redact.rules import RULES, Finder, own
from sidecar.llm.redact.values import TooMany, Values, marks
from sidecar.llm.splice import Body

RULED = Finder([*RULES["emails"], *RULES["cards"], *RULES["keys"], own("OWN", "own value")])
MAIL = "bob@example.com"
CARD = "4111 1111 1111 1111"
KEY = "-----BEGIN PRIVATE KEY-----\n" + "ab+/" * 9 + "\n-----END PRIVATE KEY-----"


def masked(body: bytes) -> tuple[bytes, Values]:
    values = Values(RULED, "")
    found = Body(body)
    for _ in mask(found, values):
        pass
    return found.encoded(), values


def sent(body: Any) -> Any:
    return json.loads(masked(json.dumps(body).encode())[0])


ONE = "[[EMAIL_1]]"


@pytest.mark.parametrize(
    ("body", "becomes"),
    [
        ({"messages": [{"role": "user", "content": f"to {MAIL}!"}]},
         {"messages": [{"role": "user", "content": f"to {ONE}!"}]}),
        ({"messages": [{"content": [{"type": "text", "text": MAIL}]}]},
         {"messages": [{"content": [{"type": "text", "text": ONE}]}]}),
        ({"system": MAIL, "messages": []}, {"system": ONE, "messages": []}),
        ({"system": [{"text": MAIL}]}, {"system": [{"text": ONE}]}),
        ({"instructions": MAIL, "input": f"{MAIL} {CARD}"},
         {"instructions": ONE, "input": f"{ONE} [[CARD_1]]"}),
        ({"input": [MAIL, "b", CARD]}, {"input": [ONE, "b", "[[CARD_1]]"]}),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": MAIL}]},
         {"input": [{"type": "function_call_output", "call_id": "c", "output": ONE}]}),
        ({"contents": [{"role": "user", "parts": [{"text": MAIL}]}]},
         {"contents": [{"role": "user", "parts": [{"text": ONE}]}]}),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {"id": MAIL}}}]}]},
         {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {"id": ONE}}}]}]}),
        # In arguments of tools all texts count, whatever their members are called.
        ({"messages": [{"content": [{"type": "tool_use", "id": "t", "input": {"name": MAIL}}]}]},
         {"messages": [{"content": [{"type": "tool_use", "id": "t", "input": {"name": ONE}}]}]}),
        # The same value has the same placeholder, another has another.
        ({"prompt": f"{MAIL} a@example.com {MAIL}"}, {"prompt": f"{ONE} [[EMAIL_2]] {ONE}"}),
        # For programs: ids, names, addresses, data; and members that are no texts for a model.
        ({"messages": [{"role": "user", "name": MAIL, "content": []}]}, ...),
        ({"messages": [{"content": [{"image_url": {"url": f"https://x/{MAIL}"}}]}]}, ...),
        ({"messages": [{"content": [{"source": {"data": f"{MAIL} in base64"}}]}]}, ...),
        ({"messages": [{"content": [{"file": f"data:text/plain,{MAIL}"}]}]}, ...),
        ({"user": MAIL, "metadata": {"a": MAIL}, "tools": [{"description": MAIL}]}, ...),
        ({"input": [[1, 2, 3]]}, ...),
    ],
)  # fmt: skip
def test_texts_for_the_model_are_masked(body: Any, becomes: Any) -> None:
    assert sent(body) == (body if becomes is ... else becomes)


def test_behind_arguments_members_for_programs_count_again() -> None:
    message = [{"input": {"a": [{"b": MAIL}]}, "id": MAIL}, {"id": MAIL}]
    assert sent({"messages": message}) == {
        "messages": [{"input": {"a": [{"b": ONE}]}, "id": MAIL}, {"id": MAIL}]
    }


def test_json_in_a_string_of_arguments_is_masked_within_its_strings() -> None:
    arguments = json.dumps({"key": KEY, "n": 4111111111111111, "to": [MAIL]})
    call = {"function": {"name": "f", "arguments": arguments}}
    found, values = masked(
        json.dumps({"messages": [{"tool_calls": [call], "content": KEY}]}).encode()
    )
    message = json.loads(found)["messages"][0]
    assert message["content"] == "[[PRIVATE_KEY_1]]"
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {
        "key": "[[PRIVATE_KEY_1]]",
        "n": 4111111111111111,
        "to": [ONE],
    }
    assert values.kinds == {"PRIVATE_KEY": 1, "EMAIL": 1}


@pytest.mark.parametrize("arguments", ["", "no json " + MAIL, '{"a": "' + MAIL])
def test_arguments_that_are_no_json_are_texts(arguments: str) -> None:
    new = sent({"messages": [{"arguments": arguments}]})["messages"][0]["arguments"]
    assert MAIL not in new


def test_bytes_that_are_not_named_stay() -> None:
    text = '{ "x":1.0 ,"messages" : [ {"role":"user" , "content":%s} ], "y":"bob@example.com" }'
    found, _ = masked((text % '"\\u00e4 bob@example.com"').encode())
    assert found == (text % '"ä [[EMAIL_1]]"').encode()


def test_duplicate_members_are_all_masked() -> None:
    found, _ = masked(b'{"prompt":"bob@example.com","prompt":"amy@example.com"}')
    assert found == b'{"prompt":"[[EMAIL_1]]","prompt":"[[EMAIL_2]]"}'


def test_half_an_emoji_beside_a_value_stays() -> None:
    found, _ = masked(b'{"prompt":"\\ud83d bob@example.com"}')
    assert found == b'{"prompt":"\\ud83d [[EMAIL_1]]"}'


def test_more_values_than_a_prompt_has_are_refused() -> None:
    values = Values(RULED, "")
    with pytest.raises(TooMany):
        values.masked(" ".join(f"a{n}@example.com" for n in range(10_001)))


def test_a_large_body_is_masked_in_turns() -> None:
    body = Body(json.dumps({"messages": [{"content": "x" * 20_000}] * 20}).encode())
    assert 4 <= len(list(mask(body, Values(RULED, "")))) <= 7


def test_marks_are_how_placeholders_begin() -> None:
    assert set(marks(RULED.kinds)) >= {b"[[EMAIL_", b"[[CARD_", b"[[OWN_"}


VALUES = st.sampled_from([MAIL, CARD, KEY, "x", '"', "\\", "\n", "é", "😀", " ", "[[", "}"])
TEXTS = st.lists(VALUES, max_size=6).map(" ".join)


@given(TEXTS, TEXTS, TEXTS, st.booleans())
@settings(max_examples=60)
def test_nothing_leaves_and_all_comes_back(
    text: str, inner: str, name: str, ascii_only: bool
) -> None:
    body = {
        "messages": [
            {"role": "user", "content": text},
            {"tool_calls": [{"arguments": json.dumps({name: inner})}]},
            {"content": [{"type": "tool_use", "input": {"a": [inner]}}]},
        ],
        "other": [1.0, None],
    }
    found, values = masked(json.dumps(body, ensure_ascii=ascii_only).encode())
    read = json.loads(found)
    texts = json.dumps([read["messages"][0], read["messages"][2]])
    assert not any(span for span in (MAIL, CARD) if span in texts)
    echo = Restorer(values)
    back = json.loads(echo.feed(found) + echo.end())
    back["messages"][1]["tool_calls"][0]["arguments"] = json.loads(
        back["messages"][1]["tool_calls"][0]["arguments"]
    )
    body["messages"][1]["tool_calls"][0]["arguments"] = {name: inner}  # type: ignore[index]
    assert back == body
