"""An open load of chat completions, and what became of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import aiohttp

from bench import messages, provider

Send = Callable[[int], Awaitable[str]]
"""Makes the n-th call; the answer is why it failed, or nothing."""

_TELL_EVERY: Final = 10.0


class Outcome(NamedTuple):
    """One call. A failed one, too, takes until its caller knows."""

    due: float  # seconds after the start
    seconds: float  # from `due` to the last byte, or to the failure
    failure: str  # a status, refused, broken, timeout, wrong body; nothing: it went well


class Client:
    """Calls *urls* in turn over kept connections; what is not answered with *expected* failed."""

    def __init__(self, urls: Sequence[str], expected: bytes, timeout: float) -> None:
        self._targets = [url + messages.PATH for url in urls]
        self._expected = expected
        self._body = messages.body()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=timeout),
            headers=provider.SDK,
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def send(self, number: int) -> str:
        """Make one call, once."""
        target = self._targets[number % len(self._targets)]
        try:
            async with self._session.post(target, data=self._body) as reply:
                body = await reply.read()
                if reply.status != 200:
                    return str(reply.status)
                return "" if body == self._expected else "wrong body"
        except TimeoutError:
            return "timeout"
        except aiohttp.ClientConnectorError:
            return "refused"
        except aiohttp.ClientError:
            return "broken"


async def drive(send: Send, arrivals: Sequence[float], name: str) -> list[Outcome]:
    """Make each call when it is due, whatever became of those before it."""
    outcomes: list[Outcome] = []
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async def one(number: int, due: float) -> None:
        failure = await send(number)
        outcomes.append(Outcome(due, loop.time() - begin - due, failure))

    async with asyncio.TaskGroup() as group:
        told = 0.0
        for number, due in enumerate(arrivals):
            await asyncio.sleep(begin + due - loop.time())
            group.create_task(one(number, due))
            if due - told >= _TELL_EVERY:
                told = due
                print(f"  {name}: {due:.0f} of {arrivals[-1]:.0f} s, {tell(outcomes)}", flush=True)
    return sorted(outcomes)


def tell(outcomes: Sequence[Outcome]) -> str:
    """How many calls ended, and what the failed ones died of, in words."""
    failures = Counter(outcome.failure for outcome in outcomes if outcome.failure)
    causes = ", ".join(f"{count} {cause}" for cause, count in failures.most_common())
    return f"{len(outcomes):,} calls, {failures.total()} failed" + (causes and f" ({causes})")
