"""`sidecar top`: routes and endpoints of a running sidecar, live."""

from __future__ import annotations

import argparse
import copy
import json
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from types import FrameType
from typing import Final

from sidecar.calls import ask
from sidecar.terminal import screen
from sidecar.terminal.board import Board
from sidecar.terminal.events import Event, events
from sidecar.terminal.top import SORTS, Looks, as_json, frame, picture, pressed

_AGAIN: Final = 1.0
"""Seconds until a sidecar that has gone is looked for again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `sidecar top`."""
    parser.description = "Show routes and endpoints of a running sidecar, live. q ends it."
    ask.add_admin(parser)
    parser.add_argument(
        "--sort", choices=sorted(SORTS.values()), default="configuration", help="at the start"
    )
    parser.add_argument(
        "-n", type=int, metavar="N", help="print N pictures, one below the other, and end"
    )
    ask.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show until q or Ctrl-C. 0; 1 if the sidecar refuses or goes; 2 if there is none."""
    looks = Looks(sort=arguments.sort)
    as_lines = ask.wants_json(arguments)
    try:
        if as_lines or arguments.n is not None or not sys.stdout.isatty():
            _print(arguments.admin, looks, arguments.n, as_lines=as_lines)
        else:
            _Top(arguments.admin, looks).run()
    except ask.Unanswered as error:
        print(f"sidecar top: {error}", file=sys.stderr)
        return 1 if error.reached else 2
    return 0


def _print(admin: str, looks: Looks, count: int | None, *, as_lines: bool) -> None:
    """Print pictures one below the other, from the second message on: rates need two."""
    board, printed = Board(), 0
    for event in events(admin, "/events"):
        board.take(event.kind, event.data)
        if event.kind == "snapshot":
            continue
        if as_lines:
            print(json.dumps(as_json(board), separators=(",", ":")), flush=True)
        else:
            print(frame(board, looks, ask.columns(), ask.style()), flush=True)
        printed += 1
        if count is not None and printed >= count:
            return


class _Top:
    """The screen: it is drawn when something comes, a key is pressed or its size changes."""

    def __init__(self, admin: str, looks: Looks) -> None:
        self._admin = admin
        self._looks = looks
        self._board = Board()
        self._frozen: Board | None = None
        """What is shown while the user pauses it."""
        self._news: deque[Event | Exception] = deque()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._lost = ""

    def run(self) -> None:
        """Show until it is ended. Raise Unanswered if there is no sidecar at first."""
        Thread(target=self._listen, name="events", daemon=True).start()
        self._first()
        signal.signal(signal.SIGWINCH, lambda *_: self._tell())
        signal.signal(signal.SIGTERM, _end)
        with screen.opened():
            self._show()
            while self._wait():
                self._show()

    def _listen(self) -> None:
        """Follow the sidecar, also when it comes back, in a thread of its own."""
        while True:
            try:
                for event in events(self._admin, "/events"):
                    self._news.append(event)
                    self._tell()
            except ask.Unanswered as error:
                self._news.append(error)
                self._tell()
            time.sleep(_AGAIN)

    def _tell(self) -> None:
        with suppress(BlockingIOError):  # it will wake anyway
            os.write(self._waker, b".")

    def _first(self) -> None:
        while not self._board.tables:
            select.select([self._wake], [], [])
            for news in self._taken():
                if isinstance(news, Exception):
                    raise news
                self._board.take(news.kind, news.data)

    def _wait(self) -> bool:
        """Wait for what changes the picture; False if it is to end."""
        watched = [self._wake]
        if sys.stdin is not None and sys.stdin.isatty():
            watched.append(sys.stdin.fileno())
        ready, _, _ = select.select(watched, [], [])
        if self._wake in ready:
            for news in self._taken():
                self._take(news)
        if len(watched) > 1 and watched[1] in ready:
            data = os.read(watched[1], 256)
            for key in screen.keys(data):
                if key == "q":
                    return False
                self._look(key)
            return bool(data)  # nothing: the terminal is gone
        return True

    def _look(self, key: str) -> None:
        paused = self._looks.paused
        self._looks = pressed(self._looks, key)
        if self._looks.paused != paused:
            self._frozen = None if paused else copy.deepcopy(self._board)

    def _take(self, news: Event | Exception) -> None:
        if isinstance(news, Exception):
            self._lost = f"nothing new comes, trying again: {news}"
        else:
            self._lost = ""
            self._board.take(news.kind, news.data)

    def _taken(self) -> Iterator[Event | Exception]:
        os.read(self._wake, 65536)
        while self._news:
            yield self._news.popleft()

    def _show(self) -> None:
        size = screen.size()
        board = self._frozen or self._board
        screen.draw(picture(board, self._looks, size, ask.style(), self._lost))


def _end(*_: int | FrameType | None) -> None:
    raise KeyboardInterrupt
