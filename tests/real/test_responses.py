"""OpenAI's responses and realtime APIs with the openai SDK for Python."""

from __future__ import annotations

import asyncio

from openai.types.realtime import RealtimeServerEvent
from peers import Ways
from sdk import async_openai, sync_openai


def test_response_is_the_servers_own(simulated: str, ways: Ways) -> None:
    replies = []
    for url in (simulated, ways.direct("simulated")):
        with sync_openai(url + "/v1") as client:
            replies.append(client.responses.create(model="simulated", input="tell me"))
    assert replies[0].output_text
    assert replies[0].output_text == replies[1].output_text


def test_stream_has_the_text_of_the_whole_response(simulated: str) -> None:
    with sync_openai(simulated + "/v1") as client:
        whole = client.responses.create(model="simulated", input="tell me").output_text
        events = list(client.responses.create(model="simulated", input="tell me", stream=True))
        with client.responses.stream(model="simulated", input="tell me") as stream:
            final = stream.get_final_response()
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == final.output_text == whole
    assert events[-1].type == "response.completed"
    assert [e.sequence_number for e in events] == list(range(len(events)))


def test_async_responses_at_once(simulated: str) -> None:
    async def run() -> None:
        async with async_openai(simulated + "/v1") as client:
            replies = await asyncio.gather(
                *(client.responses.create(model="simulated", input=f"n {n % 4}") for n in range(20))
            )
        assert [r.output_text for r in replies[:4]] * 5 == [r.output_text for r in replies]

    asyncio.run(run())


def test_realtime_session(simulated: str) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    events: list[RealtimeServerEvent] = []
    with (
        sync_openai(simulated + "/v1") as client,
        client.realtime.connect(model="simulated") as session,
    ):
        for _ in range(3):
            session.conversation.item.create(item=item)  # type: ignore[arg-type]
            session.response.create()
            for event in session:
                events.append(event)
                if event.type == "response.done":
                    break
    kinds = [event.type for event in events]
    assert kinds[0] == "session.created"
    assert kinds.count("response.done") == 3
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    texts = [e.text for e in events if e.type == "response.output_text.done"]
    assert texts[0]
    assert "".join(deltas) == "".join(texts)


def test_realtime_session_async(simulated: str) -> None:
    async def run() -> None:
        async with (
            async_openai(simulated + "/v1") as client,
            client.realtime.connect(model="simulated") as session,
        ):
            await session.response.create()
            kinds = []
            async for event in session:
                kinds.append(event.type)
                if event.type == "response.done":
                    break
            assert "response.output_text.delta" in kinds

    asyncio.run(run())
