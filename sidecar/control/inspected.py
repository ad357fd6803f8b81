"""What the admin server may ask of the data plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sidecar.control.explain.answer import Explained
    from sidecar.control.explain.question import Question
    from sidecar.control.live.view import View
    from sidecar.observe.calls import Calls
    from sidecar.observe.stats import Stats


class Inspected(Protocol):
    """The data plane, as the admin server sees it. Its methods are called on other threads.

    `still`, `ready` and `log_level` answer at once. The rest may wait for the data plane's loop;
    they raise TimeoutError when it does not answer.
    """

    @property
    def stats(self) -> Stats:
        """All counters, read without a lock."""

    @property
    def calls(self) -> Calls:
        """The calls that ended last; may be read on any thread."""

    def still(self) -> float:
        """Tell for how many seconds the data plane's loop has stood still."""

    def ready(self) -> tuple[bool, str]:
        """Tell whether calls are taken, and why not."""

    def config(self) -> dict[str, Any]:
        """Show the configuration in use, secrets redacted, its source, hash and last error."""

    def view(self) -> View:
        """Collect what the live page reads."""

    def upstreams(self) -> list[dict[str, Any]]:
        """Show upstreams and the state of their endpoints."""

    def override(self, upstream: str, endpoint: str, **said: Any) -> dict[str, Any]:
        """Override settings of an endpoint (see `upstream.endpoints.overrides`), and show it.

        Raise LookupError when there is no such endpoint, OverflowError for too many overrides.
        """

    def budgets(self) -> list[dict[str, object]]:
        """Show budgets, and what was spent of each in this period."""

    def limits(self) -> dict[str, object]:
        """Show limits on tokens, and whether they are shared."""

    def keys(self) -> dict[str, list[dict[str, object]]]:
        """Show the keys of upstreams that have several, by upstream; never a key itself."""

    def restore_key(self, upstream: str, key: str | None) -> int:
        """Use a refused or cooling key again (None: all); return how many there are."""

    def routes(self) -> list[dict[str, Any]]:
        """Show routes in the order in which they are tried."""

    def explain(self, question: Question) -> Explained:
        """Tell where a call would go. Raise ValueError for a listener that is not there."""

    def connections(self) -> list[dict[str, Any]]:
        """Show open connections."""

    def interception(self) -> dict[str, Any]:
        """Show the intercepting listeners, and the CA that programs must trust for them."""

    def cache(self) -> dict[str, Any]:
        """Show what is kept, and what that saved."""

    def purge(self, route: str | None, model: str | None) -> int:
        """Forget the replies of *route* and *model* (None: of any); return their number."""

    def log_level(self) -> str:
        """Name the log level."""

    def set_log_level(self, level: str) -> None:
        """Set the log level."""

    def drain(self) -> None:
        """Stop being ready and end connections as their calls end."""

    def quit(self) -> None:
        """Drain, then exit."""
