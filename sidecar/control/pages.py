"""The pages of the admin server: paths, methods, and what they answer. It knows no sockets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from sidecar.control import changes
from sidecar.control.answers import Answer, Request, busy, refusal
from sidecar.control.calls_wanted import find, read, select
from sidecar.control.inspected import Inspected
from sidecar.control.pulse import STOOD_STILL
from sidecar.observe.diagram import diagram, sequence
from sidecar.observe.lines import encode as encode_call

_log: Final = logging.getLogger(__name__)
ONE_CALL: Final = "/calls/"
_MERMAID: Final = ".mmd"
_STEPS: Final = ".steps"
ASSET: Final = "/page/"


Handler = Callable[[Inspected, Request], Answer]


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
            "POST ?upstream=U&endpoint=E&weight=3 (auto: as the file says).", post=changes.weigh
        ),
        "/upstreams/drain": Page(
            "POST ?upstream=U&endpoint=E: no new attempts there.",
            post=lambda i, r: changes.override(i, r, drained=True),
        ),
        "/upstreams/undrain": Page(
            "POST ?upstream=U&endpoint=E takes that back.",
            post=lambda i, r: changes.override(i, r, drained=False),
        ),
        "/upstreams/breaker": Page(
            "POST ?upstream=U&endpoint=E&state=open (closed, auto).", post=changes.set_breaker
        ),
        "/budgets": Page("What was spent of each budget.", lambda i, _: Answer(i.budgets())),
        "/limits": Page("Limits on tokens.", lambda i, _: Answer(i.limits())),
        "/keys": Page("Keys of upstreams that have several.", lambda i, _: Answer(i.keys())),
        "/keys/restore": Page(
            "POST ?upstream=U&key=K (without key: all) uses a refused key again.",
            post=changes.restore,
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
        "/cache/purge": Page("POST ?route=R, ?model=M, both, or ?all.", post=changes.purge),
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
        "/log-level": Page("POST ?level=debug changes it.", _log_level, changes.set_log_level),
        "/drain": Page(
            "Stop being ready; close each connection after its call.", post=changes.drain
        ),
        "/quit": Page("Drain, then exit.", post=changes.quit_),
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
