"""The pages of the admin server: paths, methods, and who may ask. It knows no sockets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from sidecar.control.calls_wanted import find, read, select
from sidecar.control.logs import LEVELS
from sidecar.control.pulse import STOOD_STILL
from sidecar.errors import BadMessage
from sidecar.observe.calls import Calls
from sidecar.observe.diagram import diagram, sequence
from sidecar.observe.lines import encode as encode_call
from sidecar.observe.stats import Stats

if TYPE_CHECKING:
    from sidecar.control.explain.answer import Explained
    from sidecar.control.explain.question import Question
    from sidecar.control.live.view import View

_log: Final = logging.getLogger(__name__)
_MAX_WEIGHT: Final = 1000
ONE_CALL: Final = "/calls/"
_MERMAID: Final = ".mmd"
_STEPS: Final = ".steps"
ASSET: Final = "/page/"


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


class Request(msgspec.Struct, frozen=True):
    """What an answer depends on. Header names are looked up in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True):
    """A reply; a *body* that is no bytes becomes JSON."""

    body: Any
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    stream: AsyncIterator[bytes] | None = None
    """In place of the body: it is sent as it comes, until the client leaves."""


Handler = Callable[[Inspected, Request], Answer]


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    """Answer that it can't be had, and why."""
    return Answer({"error": {"code": code, "message": message}}, status, headers=headers)


def _live(inspected: Inspected, _: Request) -> Answer:
    still = inspected.still()
    if still < STOOD_STILL:
        return Answer({"live": True})
    reason = f"the data plane has been blocked for {still:.0f} s"
    return Answer({"live": False, "reason": reason}, 503)


def _ready(inspected: Inspected, _: Request) -> Answer:
    ready, reason = inspected.ready()
    return Answer({"ready": ready, "reason": reason}, 200 if ready else 503)


def _log_level(inspected: Inspected, _: Request) -> Answer:
    return Answer({"level": inspected.log_level()})


def _set_log_level(inspected: Inspected, request: Request) -> Answer:
    level = request.query.get("level", "")
    if level not in LEVELS:
        return refusal(400, "bad_level", f"?level= must be one of {', '.join(LEVELS)}")
    inspected.set_log_level(level)
    return Answer({"level": level})


def _purge(inspected: Inspected, request: Request) -> Answer:
    route, model = request.query.get("route"), request.query.get("model")
    if route is None and model is None and "all" not in request.query:
        return refusal(400, "bad_purge", "say ?route=, ?model=, both, or ?all")
    return Answer({"purged": inspected.purge(route, model)})


def _restore(inspected: Inspected, request: Request) -> Answer:
    upstream, key = request.query.get("upstream", ""), request.query.get("key")
    if not inspected.restore_key(upstream, key):
        return refusal(404, "no_such_key", "no such upstream, or no such key; /keys lists them")
    return Answer({upstream: inspected.keys()[upstream]})


def _drain(inspected: Inspected, _: Request) -> Answer:
    inspected.drain()
    return Answer({"draining": True}, 202)


def _quit(inspected: Inspected, _: Request) -> Answer:
    inspected.quit()
    return Answer({"quitting": True}, 202)


def _weight(inspected: Inspected, request: Request) -> Answer:
    text = request.query.get("weight", "")
    if text == "auto":
        return _override(inspected, request, weight=None)
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= _MAX_WEIGHT:
        return refusal(400, "bad_weight", f"?weight= must be 0 to {_MAX_WEIGHT}, or auto")
    return _override(inspected, request, weight=weight)


def _breaker(inspected: Inspected, request: Request) -> Answer:
    state = request.query.get("state", "")
    if state not in ("open", "closed", "auto"):
        return refusal(400, "bad_state", "?state= must be open, closed or auto")
    return _override(inspected, request, breaker=None if state == "auto" else state)


def _override(inspected: Inspected, request: Request, **said: Any) -> Answer:
    upstream, endpoint = request.query.get("upstream", ""), request.query.get("endpoint", "")
    try:
        return Answer(inspected.override(upstream, endpoint, **said))
    except LookupError as error:
        return refusal(404, "no_such_endpoint", f"{error.args[0]}; /upstreams lists them")
    except OverflowError as error:
        return refusal(409, "too_many_overrides", str(error))


def _calls(inspected: Inspected, request: Request) -> Answer:
    try:
        wanted = read(request.query)
    except ValueError as error:
        return refusal(400, "bad_filter", str(error))
    # Each by itself, in pieces: the data plane waits while one is encoded.
    return Answer([msgspec.Raw(encode_call(call)) for call in select(inspected.calls, wanted)])


def _one_call(inspected: Inspected, request: Request) -> Answer:
    name = request.path.removeprefix(ONE_CALL)
    call = find(inspected.calls, name)
    if call is not None:
        return Answer(msgspec.Raw(encode_call(call)))
    name, dot, form = name.rpartition(".")
    call = find(inspected.calls, name) if f"{dot}{form}" in (_MERMAID, _STEPS) else None
    if call is None:
        return refusal(404, "no_such_call", "no call with this id is kept")
    if f"{dot}{form}" == _STEPS:
        return Answer(sequence(call))
    return Answer(diagram(call).encode(), content_type="text/plain; charset=utf-8")


def _index(pages: Pages) -> Handler:
    listed = [
        {"path": path, "methods": page.methods(), "about": page.about}
        for path, page in pages.items()
    ]

    def show(_: Inspected, request: Request) -> Answer:
        if "text/html" in request.headers.get("accept", ""):
            return _asset("index.html")
        return Answer(listed, headers={"Vary": "Accept"})

    return show


def _asset(name: str) -> Answer:
    from sidecar.control.live.assets import asset  # late: most sidecars are not looked at

    return asset(name) or refusal(404, "not_found", "the page has no such file")


def _explain(inspected: Inspected, request: Request) -> Answer:
    from sidecar.control.explain import question  # with the first question

    try:
        if request.method == "POST":
            asked = question.from_json(request.body)
        else:
            asked = question.from_query(request.query)
        return Answer(inspected.explain(asked))
    except ValueError as error:
        return refusal(400, "bad_question", str(error))


class _Metrics:
    """Renders with prometheus_client, which is imported at the first scrape."""

    def __init__(self) -> None:
        self._render: Callable[[str], tuple[bytes, str]] | None = None

    def __call__(self, inspected: Inspected, request: Request) -> Answer:
        if self._render is None:
            from sidecar.control.exporter import Exporter

            self._render = Exporter(inspected.stats).render
        body, content_type = self._render(request.headers.get("accept", ""))
        return Answer(body, content_type=content_type)


class Page(msgspec.Struct, frozen=True):
    """What a path answers to GET and to POST, and what it is for.

    A page that is not *prompt* may wait for the data plane, and must not hold up the others. One
    that is *long* takes time, but never waits for the data plane, nor for pages that do.
    """

    about: str
    get: Handler | None = None
    post: Handler | None = None
    prompt: bool = False
    long: bool = False
    live: bool = False
    """What it shows is computed in the server's own loop, while somebody looks."""

    def methods(self) -> tuple[str, ...]:
        """List what may be asked; HEAD goes wherever GET does."""
        if self.live:
            return ("GET",)
        return (("GET", "HEAD") if self.get else ()) + (("POST",) if self.post else ())


Pages = dict[str, Page]


def health_pages() -> Pages:
    """Pages that change nothing and show no configuration, for the cluster to ask."""
    return {
        "/live": Page("200 unless the data plane is blocked.", _live, prompt=True),
        "/ready": Page("200 while calls are accepted, else 503.", _ready, prompt=True),
        "/metrics": Page("Prometheus text or OpenMetrics, by Accept.", _Metrics(), long=True),
    }


def admin_pages() -> Pages:
    """All pages, for users of this machine."""
    pages = {
        **health_pages(),
        "/config": Page("The configuration in use, redacted.", lambda i, _: Answer(i.config())),
        "/upstreams": Page("Endpoints and their state.", lambda i, _: Answer(i.upstreams())),
        "/upstreams/weight": Page(
            "POST ?upstream=U&endpoint=E&weight=3 (auto: as the file says).", post=_weight
        ),
        "/upstreams/drain": Page(
            "POST ?upstream=U&endpoint=E: no new attempts there.",
            post=lambda i, r: _override(i, r, drained=True),
        ),
        "/upstreams/undrain": Page(
            "POST ?upstream=U&endpoint=E takes that back.",
            post=lambda i, r: _override(i, r, drained=False),
        ),
        "/upstreams/breaker": Page(
            "POST ?upstream=U&endpoint=E&state=open (closed, auto).", post=_breaker
        ),
        "/budgets": Page("What was spent of each budget.", lambda i, _: Answer(i.budgets())),
        "/limits": Page("Limits on tokens.", lambda i, _: Answer(i.limits())),
        "/keys": Page("Keys of upstreams that have several.", lambda i, _: Answer(i.keys())),
        "/keys/restore": Page(
            "POST ?upstream=U&key=K (without key: all) uses a refused key again.", post=_restore
        ),
        "/routes": Page("Routes in order.", lambda i, _: Answer(i.routes())),
        "/explain": Page(
            "Where would this call go? ?method= ?host= ?path= ?header=Name:+value ?model= ?body= "
            "?listener=, or POST them as JSON.",
            _explain,
            _explain,
        ),
        "/connections": Page("Open connections.", lambda i, _: Answer(i.connections())),
        "/calls": Page(
            "The calls that ended last, newest first. ?route= ?model= ?status=5xx ?errors ?min_ms= "
            "?id= ?limit=100",
            _calls,
            long=True,
        ),
        ONE_CALL: Page(
            "One of them, by its request id or trace id; with .mmd behind it a Mermaid diagram, "
            "with .steps the same as JSON.",
            _one_call,
            long=True,
        ),
        "/interception": Page(
            "Listeners by mode, and the local CA's certificate.",
            lambda i, _: Answer(i.interception()),
        ),
        "/cache": Page("What is kept, and what that saved.", lambda i, _: Answer(i.cache())),
        "/cache/purge": Page("POST ?route=R, ?model=M, both, or ?all.", post=_purge),
        "/events": Page(
            "What the live page shows, as server-sent events: all of it, then what has changed.",
            live=True,
        ),
        "/tap": Page(
            "Calls as they end, as server-sent events; with the filters of /calls.", live=True
        ),
        "/status": Page("All but the calls of what the live page shows, once, as JSON.", live=True),
        ASSET: Page(
            "Files of the live page.", lambda _, r: _asset(r.path.removeprefix(ASSET)), long=True
        ),
        "/log-level": Page("POST ?level=debug changes it.", _log_level, _set_log_level),
        "/drain": Page("Stop being ready; close each connection after its call.", post=_drain),
        "/quit": Page("Drain, then exit.", post=_quit),
    }
    about = "The live page in a browser; elsewhere this list."
    return {"/": Page(about, _index(pages), long=True), **pages}


def page_at(path: str, pages: Pages) -> Page | None:
    """Find the page at *path*; what stands behind `/calls/` is an id, whatever it contains."""
    for folder in (ONE_CALL, ASSET):
        if path.startswith(folder):
            return None if path == folder else pages.get(folder)
    return pages.get(path)


def refuse(request: Request, pages: Pages) -> Answer | None:
    """Refuse what no page answers; None when one does."""
    page = page_at(request.path, pages)
    if page is None:
        return refusal(404, "not_found", "GET / lists the pages")
    if request.method not in page.methods():
        allowed = ", ".join(page.methods())
        return refusal(405, "method_not_allowed", f"only {allowed}", Allow=allowed)
    return None


def refuse_malformed(error: BadMessage) -> Answer:
    """Refuse what is not a valid request."""
    return refusal(error.status, error.code, error.message)


def answer(inspected: Inspected, request: Request, page: Page) -> Answer:
    """Ask *page*. Errors become answers."""
    handler = page.post if request.method == "POST" else page.get
    assert handler is not None  # `refuse` looked
    try:
        return handler(inspected, request)
    except TimeoutError:
        return busy()
    except Exception:
        _log.exception("admin: %s %s failed", request.method, request.path)
        return refusal(500, "internal", "see the log")


def busy() -> Answer:
    """Answer that the data plane does not answer in time."""
    return refusal(503, "busy", "the data plane did not answer in time")


def encode(reply: Answer, request: Request) -> bytes:
    """Make the reply's bytes; indented with `?pretty` and for browsers."""
    if isinstance(reply.body, bytes):
        return reply.body
    text = msgspec.json.encode(reply.body, enc_hook=str)
    if "pretty" in request.query or "text/html" in request.headers.get("accept", ""):
        text = msgspec.json.format(text, indent=2)
    return text + b"\n"
