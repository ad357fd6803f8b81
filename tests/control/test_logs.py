from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.control import logs

log = logging.getLogger("sidecar.test")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("sidecar")
    before = (root.handlers[:], root.level, own.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(row) for row in stream.getvalue().splitlines()]


def test_machines_get_one_object_a_line_with_the_extra_fields() -> None:
    logs.setup("info", stream := io.StringIO())
    log.info("listening on %s\nand more", "[::1]:14001", extra={"listener": "a", "path": object})
    [row] = written(stream)
    assert row.pop("time").endswith("Z")
    assert row == {
        "level": "info",
        "logger": "sidecar.test",
        "message": "listening on [::1]:14001\nand more",
        "listener": "a",
        "path": "<class 'object'>",
    }


def test_an_exception_stays_within_its_line() -> None:
    logs.setup("info", stream := io.StringIO())
    try:
        raise RuntimeError("broken \udcff")
    except RuntimeError:
        log.exception("failed")
    [row] = written(stream)
    assert row["level"] == "error"
    assert "RuntimeError: broken \\udcff" in row["exception"]


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_what_comes_from_the_network_steers_no_terminal(stream: io.StringIO) -> None:
    logs.setup("info", stream)
    log.warning("no %s", "\x1b[31m\x9b31m\u202e", extra={"host": "a\nb\x9b\x7f"})
    text = stream.getvalue()
    assert text.isascii()
    assert text.count("\n") == 1
    assert text[:-1].isprintable()


def test_a_terminal_gets_plain_lines() -> None:
    logs.setup("info", stream := Terminal())
    log.warning("slow", extra={"upstream": "glm"})
    assert stream.getvalue().endswith("WARNING slow  upstream=glm\n")


@pytest.mark.parametrize("level", logs.LEVELS)
def test_each_level_is_logged_from_on(level: str) -> None:
    logs.setup("error", stream := io.StringIO())
    logs.set_level(level)
    for name in logs.LEVELS:
        log.log(logging.getLevelNamesMapping()[name.upper()], name)
    assert [row["level"] for row in written(stream)] == list(
        logs.LEVELS[logs.LEVELS.index(level) :]
    )
    assert logs.level() == level


def test_libraries_are_quiet_below_warnings() -> None:
    logs.setup("debug", stream := io.StringIO())
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("asyncio").warning("worth knowing")
    assert [row["message"] for row in written(stream)] == ["worth knowing"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of debug, info, warning, error"):
        logs.set_level("loud")


def test_setting_up_again_does_not_log_twice() -> None:
    logs.setup("info", io.StringIO())
    logs.setup("info", stream := io.StringIO())
    log.info("once")
    assert len(written(stream)) == 1
