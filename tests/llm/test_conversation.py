"""Which conversation a call belongs to, as its caller says."""

import pytest

from sidecar.llm.conversation import conversation_of
from sidecar.llm.dialects import Parameters


@pytest.mark.parametrize(
    ("fields", "body", "found"),
    [
        ({"x-claude-code-session-id": "a", "session_id": "b"}, "c", "a"),
        ({"session_id": " b "}, "c", "b"),
        ({"agent-session-id": "b"}, None, "b"),
        ({"x-agent-session": "b"}, None, "b"),
        ({}, "conv_1", "conv_1"),
        ({"session_id": ""}, "conv_1", "conv_1"),
        ({"session_id": "x" * 257}, "conv_1", "conv_1"),
        ({"session_id": "a\x1b[0m"}, None, None),
        ({}, None, None),
    ],
)
def test_the_conversation(fields: dict[str, str], body: str | None, found: str | None) -> None:
    raw = {name.encode(): value.encode() for name, value in fields.items()}
    assert conversation_of(raw, Parameters(conversation=body)) == found
