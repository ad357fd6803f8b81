"""What is kept of a call tells the same as what is told at once."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sidecar.observe.ended import EndedCall, record_of
from sidecar.observe.record import CallRecord, Note, Try
from tests.observe.kept import ended

TEXT = st.text("ab/é ", max_size=8)
MS = st.integers(0, 10**7).map(lambda microseconds: microseconds / 1e3)
COUNT = st.integers(0, 2**53)
TRY = st.builds(
    Try, TEXT, st.sampled_from(["first", "hedge", "retry"]), MS, TEXT, MS, MS, MS, MS,
    st.integers(0, 599), TEXT, TEXT, TEXT, st.just("b7ad6b7169203331"), st.booleans(),
    st.booleans(),
)  # fmt: skip
RECORD = st.builds(
    CallRecord,
    time=st.floats(0, 2e9),
    **dict.fromkeys(
        [
            "request_id", "route", "upstream", "endpoint", "dialect", "model", "method", "path",
            "error", "client", "user_agent", "operation", "model_answered", "response_id", "team",
            "finish", "verdict", "failure", "conversation", "provider_request_id", "cache",
        ],
        TEXT,
    ),
    **dict.fromkeys(
        [
            "duration_ms", "first_byte_ms", "first_token_ms", "longest_gap_ms", "queue_ms",
            "connect_ms",
        ],
        MS,
    ),
    **dict.fromkeys(
        [
            "bytes_in", "bytes_out", "input_tokens", "cached_tokens", "cache_write_tokens",
            "output_tokens", "reasoning_tokens",
        ],
        COUNT,
    ),
    **dict.fromkeys(["stream", "estimated", "sampled"], st.booleans()),
    trace_id=st.sampled_from(["", "0af7651916cd43dd8448eb211c80319c"]),
    parent_id=st.sampled_from(["", "b7ad6b7169203331"]),
    status=st.integers(0, 599),
    fallback=st.integers(0, 3),
    cost=st.integers(0, 10**6).map(lambda thousandths: thousandths / 1e3),
    tries=st.lists(TRY, max_size=3).map(tuple),
    layers=st.lists(TEXT, max_size=3).map(tuple),
    notes=st.lists(st.builds(Note, MS, TEXT, TEXT), max_size=3).map(tuple),
)  # fmt: skip


@given(RECORD)
def test_what_is_kept_tells_all(record: CallRecord) -> None:
    record.replays = sum(each.replayed for each in record.tries)
    record.hedged = any(each.why == "hedge" for each in record.tries)
    record.attempts = len(record.tries) + record.replays
    kept = msgspec.msgpack.encode(ended(record))
    assert record_of(msgspec.msgpack.decode(kept, type=EndedCall)) == record


def test_a_call_without_an_answer_waited_for_its_first_byte_to_its_end() -> None:
    call = ended(CallRecord(0.0, "r", duration_ms=250.0))
    call.first_byte = None
    assert record_of(call).first_byte_ms == 250.0
