"""Shows the data plane to the admin server, and takes its orders."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from sidecar.ca.folder import default_folder
from sidecar.control import logs
from sidecar.control.pulse import Pulse
from sidecar.control.shown import show_connection, show_endpoint, show_tunnel, show_upstream

if TYPE_CHECKING:
    from sidecar.control.explain.answer import Explained
    from sidecar.control.explain.question import Question
    from sidecar.control.live.view import View
    from sidecar.control.reload import Reloader
    from sidecar.control.serving import Serving
    from sidecar.observe.calls import Calls
    from sidecar.observe.stats import Stats

_log: Final = logging.getLogger(__name__)
T = TypeVar("T")
_WITHIN: Final = 4.0
"""Seconds that the data plane's loop gets to answer."""


class Inspection:
    """`inspected.Inspected`, made on the data plane's loop and called on other threads."""

    def __init__(self, serving: Serving, reloader: Reloader, quit_: Callable[[], None]) -> None:
        self._serving = serving
        self._reloader = reloader
        self._quit = quit_
        self._loop = asyncio.get_running_loop()
        self._pulse = Pulse()
        self.started = False
        """Whether the start is over, so that signals are handled."""

    @property
    def stats(self) -> Stats:
        """All counters."""
        return self._serving.stats

    @property
    def calls(self) -> Calls:
        """The calls that ended last."""
        return self._serving.calls

    def still(self) -> float:
        """Return for how many seconds the data plane's loop has not run."""
        return self._pulse.still()

    def ready(self) -> tuple[bool, str]:
        """Whether calls are accepted, and why not. The state of upstreams does not count."""
        if not self.started:
            return False, "starting"
        return (False, "draining") if self._serving.draining else (True, "ready")

    def config(self) -> dict[str, Any]:
        """Show the configuration in use, secrets redacted, and what is doubtful in it."""
        reloads = self.stats.reloads
        return {
            "sources": [
                {
                    "name": source.name,
                    "revision": source.revision,
                    "age_s": round(time.time() - source.last_heard, 1),
                    "last_error": source.last_error or None,
                }
                for source in self.stats.sources
            ],
            "hash": reloads.config_hash,
            "loaded_at": reloads.last_accepted,
            "last_error": reloads.last_error or None,
            "warnings": reloads.warnings,
            "awaited": reloads.awaited,
            "config": self._reloader.loaded.shown,
        }

    def view(self) -> View:
        """Collect what the live page reads."""

        def collect() -> View:
            serving = self._serving
            return View(
                [(each, each.endpoints()) for each in serving.snapshot.upstreams.values()],
                {name: of.config.mode for name, of in serving.listeners.items()},
                serving.draining,
            )

        from sidecar.control.live.view import View  # late: most sidecars are not looked at

        return self._on_loop(collect)

    def upstreams(self) -> list[dict[str, Any]]:
        """Show upstreams and their endpoints."""
        upstreams = self._serving.snapshot.upstreams
        return self._on_loop(
            lambda: [show_upstream(u, self.stats.upstream(u.name)) for u in upstreams.values()]
        )

    def override(self, upstream: str, endpoint: str, **said: Any) -> dict[str, Any]:
        """Change what an operator has set for an endpoint; show the endpoint as it is then."""

        def change() -> dict[str, Any]:
            registry = self._serving.registry
            override = registry.overridden(upstream, endpoint)._replace(**said)
            registry.override(upstream, endpoint, override)
            _log.info(
                "an operator overrode an endpoint's settings",
                extra={"upstream": upstream, "endpoint": endpoint, **override._asdict()},
            )
            found = self._serving.snapshot.upstreams.get(upstream)
            endpoints = found.endpoints() if found else ()
            shown = [show_endpoint(each) for each in endpoints if each.name == endpoint]
            return shown[0] if shown else {"name": endpoint, "override": None}

        return self._on_loop(change)

    def budgets(self) -> list[dict[str, object]]:
        """Show budgets, and what was spent of each."""
        return self._on_loop(lambda: [budget.shown() for budget in self.stats.budgets.values()])

    def keys(self) -> dict[str, list[dict[str, object]]]:
        """Show the keys of upstreams that have several."""
        return self._on_loop(
            lambda: {
                name: of.keys.shown(time.monotonic())
                for name, of in self.stats.upstreams.items()
                if of.keys is not None
            }
        )

    def limits(self) -> dict[str, object]:
        """Show limits on tokens, and whether they are shared."""

        def shown() -> list[dict[str, object]]:
            return [
                {
                    "route": route,
                    "upstream": upstream,
                    "shared": of.shared,
                    "reserved": dict(of.reserved),
                    "used": dict(of.used),
                    "refused": dict(of.refused),
                    "waiting": of.waiting,
                }
                for (route, upstream), of in self.stats.token_limits.items()
            ]

        exchange = self.stats.exchange
        return {
            "limits": self._on_loop(shown),
            "store": None if exchange is None else exchange.shown(),
        }

    def restore_key(self, upstream: str, key: str | None) -> int:
        """Use a key again, or all of an upstream."""

        def restore() -> int:
            of = self.stats.upstreams.get(upstream)
            return 0 if of is None or of.keys is None else of.keys.restore(key)

        count = self._on_loop(restore)
        if count:
            _log.info("an operator restored a key", extra={"upstream": upstream, "key": key})
        return count

    def routes(self) -> list[dict[str, Any]]:
        """Show routes in the order in which they are tried, as they are configured."""
        loaded = self._reloader.loaded
        config, shown = loaded.config, cast("dict[str, Any]", loaded.shown)
        rules = self._serving.snapshot.router.rules
        return [
            {
                "name": rule.route.name,
                # As it is written: what a reference stands for may be a secret.
                "match": {
                    key: value for key, value in (written.get("match") or {}).items() if value
                },
                "upstream": entry.upstream,
                "policy": entry.policy if isinstance(entry.policy, str) else "(its own)",
                "rewrite": entry.rewrite,
                "in_flight": rule.route.stats.in_flight,
                "calls": sum(rule.route.stats.statuses.values()),
            }
            for entry, rule, written in zip(config.routes, rules, shown["routes"], strict=False)
        ]

    def explain(self, question: Question) -> Explained:
        """Tell where a call would go. Only what needs the endpoints waits for the loop."""
        from sidecar.control.explain import explain

        loaded, serving = self._reloader.loaded, self._serving
        asked = explain.look(question, loaded, serving.snapshot, self.stats)
        result = asyncio.run_coroutine_threadsafe(asked, self._loop)
        return explain.tell(result.result(_WITHIN))

    def connections(self) -> list[dict[str, Any]]:
        """Show connections of applications."""

        def collect() -> list[dict[str, Any]]:
            now = time.monotonic()
            listeners = self._serving.listeners.items()
            return [
                *(
                    show_connection(name, connection, now)
                    for name, listener in listeners
                    for connection in listener.connections
                ),
                *(
                    show_tunnel(name, tunnel, now)
                    for name, listener in listeners
                    for tunnel in listener.tunnels
                ),
            ]

        return self._on_loop(collect)

    def interception(self) -> dict[str, Any]:
        """Show listeners by mode, and the local CA's certificate, which is made if it is needed."""
        config = self._reloader.loaded.config
        listeners: dict[str, list[str]] = {}
        for listener in config.listeners:
            # What looks here points programs at it, and these come without TLS.
            if listener.address is not None and listener.tls is None:
                listeners.setdefault(listener.mode, []).append(listener.address)
        certificate = None
        if listeners.keys() & {"forward", "capture"}:
            from sidecar.ca.authority import open_authority

            folder = config.intercept.ca
            authority = open_authority(Path(folder) if folder else default_folder())
            certificate = authority.pem.decode()
        return {"listeners": listeners, "ca": certificate}

    def cache(self) -> dict[str, Any]:
        """Show the replies in memory, and what each route saved."""
        kept = self.stats.cache
        routes = {
            name: {"lookups": dict(stats.cache), "saved": stats.saved.shown()}
            for (name, _), stats in self.stats.routes.copy().items()
            if stats.cache or stats.saved.calls
        }
        memory = None
        if kept is not None:
            memory = {"entries": kept.entries, "bytes": kept.size, "evicted": kept.evicted}
        store = None
        if self.stats.store is not None:
            of = self.stats.store
            store = {
                "circuit": of.state,
                "results": dict(of.results),
                "last_error": of.last_error or None,
            }
        return {"memory": memory, "store": store, "routes": routes}

    def purge(self, route: str | None, model: str | None) -> int:
        """Forget kept replies."""

        def forget() -> int:
            kept = self.stats.cache
            return 0 if kept is None else kept.purge(route, model)

        count = self._on_loop(forget)
        _log.info(
            "an operator purged the cache", extra={"route": route, "model": model, "purged": count}
        )
        return count

    def log_level(self) -> str:
        """Return the log level."""
        return logs.level()

    def set_log_level(self, level: str) -> None:
        """Set the log level, until a reload changes it."""
        logs.set_level(level)

    def drain(self) -> None:
        """Stop being ready and end connections as their calls end."""
        self._loop.call_soon_threadsafe(self._serving.start_draining)

    def quit(self) -> None:
        """Drain, then exit."""
        self._loop.call_soon_threadsafe(self._quit)

    def _on_loop(self, collect: Callable[[], T]) -> T:
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(collect())
            except Exception as error:
                result.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return result.result(_WITHIN)
