"""Calls of the sidecar's own fill the cache."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sidecar.control import warm_up
from tests.sockets.asking import BODY, WHOLE, Asking, asks
from tests.sockets.peers import until
from tests.sockets.stage import Stage


def line(**said: object) -> str:
    body = {"model": "m", "temperature": 0, "messages": []}
    return json.dumps({"path": "/v1/chat/completions", "body": body, **said}) + "\n"


def stage(file: Path, **said: object) -> Stage:
    here = Stage(policy={"cache": {}})
    here.config["store"] = {"warm_up": {"file": str(file), "concurrency": 1, **said}}
    return here


async def test_what_is_in_the_file_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    file = tmp_path / "calls.jsonl"
    file.write_text(line() + "\n" + line(headers={"authorization": "Bearer a"}))
    async with stage(file) as here:
        asking = Asking(here)
        for _ in range(2):
            await asking.upstream()
            await asking.answers(WHOLE)
        await until(lambda: "warmed the cache up" in caplog.text)
        assert (await asking.hit(asks())).body == BODY
        await asking.hit(asks(authorization="Bearer a"))
        await here.apply()  # the same again changes nothing
        await here.is_at_rest()
        assert here.route.statuses == {200: 4}


async def test_by_its_schedule_it_is_fetched_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Soon:
        def __init__(self, text: str) -> None:
            pass

        def after(self, when: datetime) -> datetime:
            return when + timedelta(milliseconds=1)

    monkeypatch.setattr(warm_up, "Cron", Soon)
    file = tmp_path / "calls.jsonl"
    file.write_text(line())
    async with stage(file, schedule="0 6 * * *") as here:
        asking = Asking(here)
        for _ in range(3):  # at the start, and each time that it is due
            await asking.upstream()
            await asking.answers(WHOLE)
        here.config["store"] = {}
        await here.apply()


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"path": "/"}', line(path="v1"), line(headers={"a": "b\r\nc: d"})]
)
async def test_a_file_that_is_wrong_is_told(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text(text)
    async with stage(file) as here:
        await until(lambda: "can't warm the cache up" in caplog.text)
        await here.is_at_rest()
        assert not here.endpoint.attempts


async def test_a_file_that_is_not_there_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(tmp_path / "nothing"):
        await until(lambda: "can't warm the cache up" in caplog.text)
