"""A data plane that is nothing but what the admin server sees of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sidecar.control.explain.answer import Asked, Explained
from sidecar.control.explain.question import Question
from sidecar.control.inspected import Inspected
from sidecar.control.live.view import View
from sidecar.observe.calls import Calls, CallsSettings
from sidecar.observe.stats import Stats


class Plane:
    """Its answers are attributes, or wait for what a test says."""

    def __init__(self) -> None:
        self.stats = Stats(started=1.0)
        self.calls = Calls(CallsSettings(10, 10, 10, 2**20))
        self.is_ready = (True, "")
        self.level = "info"
        self.asked: list[str] = []
        self.wait: Callable[[], object] = lambda: None
        self.stood_still = 0.0
        self.seen = View((), {}, draining=False)

    def still(self) -> float:
        return self.stood_still

    def ready(self) -> tuple[bool, str]:
        return self.is_ready

    def config(self) -> dict[str, Any]:
        self.wait()
        return {"file": "sidecar.yaml", "hash": "c0ffee"}

    def view(self) -> View:
        self.wait()
        return self.seen

    def upstreams(self) -> list[dict[str, Any]]:
        return [{"name": "openai"}]

    def override(self, upstream: str, endpoint: str, **said: Any) -> dict[str, Any]:
        if upstream != "openai":
            raise LookupError(f"upstream {upstream} has no endpoint {endpoint}")
        if endpoint == "one too many":
            raise OverflowError("too many overrides: clear some")
        return {"name": endpoint, **said}

    def routes(self) -> list[dict[str, Any]]:
        return [{"name": "all", "match": {}, "upstream": "openai", "policy": ""}]

    def explain(self, question: Question) -> Explained:
        if question.listener is not None:
            raise ValueError(f"there is no listener {question.listener}")
        self.asked.append(f"explain {question.method} {question.path} {question.content()!r}")
        asked = Asked(question.method, question.path, "a", question.model, False, [])
        return Explained("answered", asked, "127.0.0.1:1", True, 3, sentences=["It is."])

    def connections(self) -> list[dict[str, Any]]:
        return [{"client": "127.0.0.1:1"}]

    def interception(self) -> dict[str, Any]:
        return {"listeners": {"forward": ["127.0.0.1:14002"]}, "ca": "PEM"}

    def cache(self) -> dict[str, Any]:
        return {"memory": None, "routes": {}}

    def limits(self) -> dict[str, object]:
        return {"limits": [], "store": None}

    def budgets(self) -> list[dict[str, object]]:
        return [{"budget": "b"}]

    def keys(self) -> dict[str, list[dict[str, object]]]:
        return {"u": [{"name": "a"}]}

    def restore_key(self, upstream: str, key: str | None) -> int:
        self.asked.append(f"restore {upstream} {key}")
        return int(upstream == "u" and key in (None, "a"))

    def purge(self, route: str | None, model: str | None) -> int:
        self.asked.append(f"purge {route} {model}")
        return 3

    def log_level(self) -> str:
        return self.level

    def set_log_level(self, level: str) -> None:
        self.level = level

    def drain(self) -> None:
        self.asked.append("drain")

    def quit(self) -> None:
        self.asked.append("quit")


_plane: Inspected = Plane()  # mypy: it is what the server asks for
