from __future__ import annotations

import asyncio
import http.client
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

import pytest

from sidecar.control import admin as admin_module
from sidecar.control import admin_http
from sidecar.control.admin import MAX_CONNECTIONS, AdminServer
from sidecar.control.live import views as views_module
from sidecar.control.live.hub import MOST
from sidecar.observe.calls import CallsSettings
from sidecar.observe.record import CallRecord
from sidecar.observe.stats import RouteStats
from tests.control.plane import Plane

ANY = "127.0.0.1:0"


@pytest.fixture
def plane() -> Plane:
    return Plane()


@pytest.fixture
def server(plane: Plane) -> Iterator[AdminServer]:
    server = AdminServer(plane, ANY, ANY)
    server.start()
    yield server
    server.stop()


class Reply:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


def ask(port: int, path: str, method: str = "GET", **headers: str) -> Reply:
    return send(port, path, method, None, headers)


def send(
    port: int, path: str, method: str, body: bytes | None, headers: Mapping[str, str] = {}
) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        return Reply(connection.getresponse())
    finally:
        connection.close()


def test_a_question_comes_in_the_url_or_as_json(server: AdminServer, plane: Plane) -> None:
    port = server.port("admin")
    answer = ask(port, "/explain?path=/v1/x&method=GET&header=x-a:+b&model=m").json
    assert (answer["outcome"], answer["asked"]["path"]) == ("answered", "/v1/x")
    body = json.dumps({"path": "/y", "body": {"model": "m" * 100_000}}).encode()
    assert send(port, "/explain", "POST", body).json["asked"]["path"] == "/y"
    assert plane.asked[0] == """explain GET /v1/x b'{"model":"m"}'"""
    assert len(plane.asked[1]) > 100_000
    for path, posted in (("/explain?x=", None), ("/explain?listener=a", None), ("/explain", b"[")):
        refused = send(port, path, "GET" if posted is None else "POST", posted)
        assert refused.status == 400
        assert refused.json["error"]["code"] == "bad_question"


def test_bodies_of_one_connection_are_kept_apart(server: AdminServer, plane: Plane) -> None:
    with socket.create_connection(("127.0.0.1", server.port("admin")), timeout=30) as sock:
        for path in ("/a", "/b"):
            body = json.dumps({"path": path, "body": "x"}).encode()
            head = f"POST /explain HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
            for piece in (f"{head}\r\n\r\n".encode(), body[:5], body[5:]):
                sock.sendall(piece)
                time.sleep(0.01)
            assert b"200 OK" in sock.recv(65536)
    assert plane.asked == ["explain POST /a b'x'", "explain POST /b b'x'"]


def test_pages_show_the_data_plane(server: AdminServer) -> None:
    port = server.port("admin")
    assert ask(port, "/config").json == {"file": "sidecar.yaml", "hash": "c0ffee"}
    assert ask(port, "/upstreams").json == [{"name": "openai"}]
    assert [route["name"] for route in ask(port, "/routes").json] == ["all"]
    assert ask(port, "/connections").json == [{"client": "127.0.0.1:1"}]
    assert {"path": "/quit", "methods": ["POST"], "about": "Drain, then exit."} in ask(
        port, "/"
    ).json


def test_calls_are_listed_newest_first_and_filtered(server: AdminServer, plane: Plane) -> None:
    port = server.port("admin")
    assert ask(port, "/calls").json == []
    for number, status in enumerate((200, 503, 200)):
        plane.calls.append(
            CallRecord(1e9, f"r{number}", trace_id="t", status=status, duration_ms=number)
        )
    assert [call["request_id"] for call in ask(port, "/calls").json] == ["r2", "r1", "r0"]
    assert [call["request_id"] for call in ask(port, "/calls?errors").json] == ["r1"]
    assert [call["request_id"] for call in ask(port, "/calls?limit=1&status=2xx").json] == ["r2"]
    assert ask(port, "/calls?statsu=200").status == 400
    assert ask(port, "/calls?pretty").body.count(b"\n") > 10


def test_one_call_by_its_id_whatever_that_contains(server: AdminServer, plane: Plane) -> None:
    port = server.port("admin")
    for name in ("r/1 ?.mmd", "r2", "."):
        plane.calls.append(CallRecord(1e9, name, trace_id="t", status=200))
    assert ask(port, "/calls/r2").json["time"] == "2001-09-09T01:46:40.000Z"
    assert ask(port, "/calls/r%2F1%20%3F.mmd").json["request_id"] == "r/1 ?.mmd"
    assert ask(port, "/calls/t").json["request_id"] == "."
    drawn = ask(port, "/calls/r2.mmd")
    assert drawn.headers["content-type"] == "text/plain; charset=utf-8"
    assert drawn.body.startswith(b"sequenceDiagram\n")
    for path in ("/calls/", "/calls/r", "/calls/r.mmd", "/calls/r2/more"):
        assert ask(port, path).status == 404
    assert ask(port, "/calls/r2", "POST").status == 405


@pytest.mark.parametrize("name", ["admin", "health"])
def test_live_and_ready(server: AdminServer, plane: Plane, name: str) -> None:
    port = server.port(name)
    assert (ask(port, "/live").status, ask(port, "/ready").status) == (200, 200)
    plane.is_ready = (False, "draining")
    reply = ask(port, "/ready")
    assert (reply.status, reply.json) == (503, {"ready": False, "reason": "draining"})
    assert ask(port, "/live").status == 200


@pytest.mark.parametrize("name", ["admin", "health"])
def test_metrics(server: AdminServer, plane: Plane, name: str) -> None:
    plane.stats.routes["all", "openai"] = RouteStats()
    text = ask(server.port(name), "/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'sidecar_calls_in_flight{route="all",upstream="openai"} 0.0\n' in text.body
    metrics = ask(server.port(name), "/metrics", Accept="application/openmetrics-text")
    assert metrics.body.endswith(b"# EOF\n")


E = "upstream=openai&endpoint=http://a"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"weight?{E}&weight=2.5", {"weight": 2.5}),
        (f"weight?{E}&weight=0", {"weight": 0}),
        (f"weight?{E}&weight=auto", {"weight": None}),
        (f"drain?{E}", {"drained": True}),
        (f"undrain?{E}", {"drained": False}),
        (f"breaker?{E}&state=open", {"breaker": "open"}),
        (f"breaker?{E}&state=closed", {"breaker": "closed"}),
        (f"breaker?{E}&state=auto", {"breaker": None}),
    ],
)
def test_endpoints_are_overridden(server: AdminServer, path: str, said: dict[str, Any]) -> None:
    reply = ask(server.port("admin"), f"/upstreams/{path}", "POST")
    assert (reply.status, reply.json) == (200, {"name": "http://a", **said})


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"weight?{E}", 400, "bad_weight"),
        (f"weight?{E}&weight=-1", 400, "bad_weight"),
        (f"weight?{E}&weight=1001", 400, "bad_weight"),
        (f"weight?{E}&weight=nan", 400, "bad_weight"),
        (f"weight?{E}&weight=much", 400, "bad_weight"),
        (f"breaker?{E}", 400, "bad_state"),
        (f"breaker?{E}&state=half_open", 400, "bad_state"),
        ("drain?upstream=nobody&endpoint=http://a", 404, "no_such_endpoint"),
        ("drain", 404, "no_such_endpoint"),
        ("drain?upstream=openai&endpoint=one%20too%20many", 409, "too_many_overrides"),
    ],
)
def test_overrides_that_make_no_sense(
    server: AdminServer, path: str, status: int, code: str
) -> None:
    reply = ask(server.port("admin"), f"/upstreams/{path}", "POST")
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


def test_the_log_level_is_shown_and_changed(server: AdminServer, plane: Plane) -> None:
    port = server.port("admin")
    assert ask(port, "/log-level").json == {"level": "info"}
    assert ask(port, "/log-level?level=debug", "POST").json == {"level": "debug"}
    assert plane.level == "debug"
    for bad in ("/log-level", "/log-level?level=loud"):
        reply = ask(port, bad, "POST")
        assert (reply.status, reply.json["error"]["code"]) == (400, "bad_level")
    assert plane.level == "debug"


def test_limits_are_shown(server: AdminServer) -> None:
    assert ask(server.port("admin"), "/limits").json == {"limits": [], "store": None}


def test_budgets_are_shown(server: AdminServer) -> None:
    assert ask(server.port("admin"), "/budgets").json == [{"budget": "b"}]


def test_a_key_is_restored(server: AdminServer, plane: Plane) -> None:
    port = server.port("admin")
    assert ask(port, "/keys").json == {"u": [{"name": "a"}]}
    assert ask(port, "/keys/restore?upstream=u&key=a", "POST").json == {"u": [{"name": "a"}]}
    assert ask(port, "/keys/restore?upstream=u", "POST").status == 200
    assert plane.asked == ["restore u a", "restore u None"]
    for wrong in ("?upstream=u&key=b", "?upstream=v", ""):
        reply = ask(port, f"/keys/restore{wrong}", "POST")
        assert (reply.status, reply.json["error"]["code"]) == (404, "no_such_key")


def test_a_purge_says_what_of(server: AdminServer, plane: Plane) -> None:
    port = server.port("admin")
    assert ask(port, "/cache").json == {"memory": None, "routes": {}}
    for asked in ("route=r", "model=m", "route=r&model=m", "all"):
        assert ask(port, f"/cache/purge?{asked}", "POST").json == {"purged": 3}
    assert plane.asked == ["purge r None", "purge None m", "purge r m", "purge None None"]
    reply = ask(port, "/cache/purge", "POST")
    assert (reply.status, reply.json["error"]["code"]) == (400, "bad_purge")
    assert ask(port, "/cache/purge?all").status == 405


def test_drain_and_quit_by_post_only(server: AdminServer, plane: Plane) -> None:
    port = server.port("admin")
    reply = ask(port, "/quit")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert plane.asked == []
    assert ask(port, "/drain", "POST").status == 202
    assert ask(port, "/quit", "POST").status == 202
    assert plane.asked == ["drain", "quit"]


def test_what_is_refused_is_not_done(server: AdminServer, plane: Plane) -> None:
    port = server.port("admin")
    assert ask(port, "/quit", "POST", Host="evil.example").status == 403
    assert ask(port, "/quit", "POST", Origin="https://evil.example").status == 403
    assert ask(port, "/config", Host="evil.example").json["error"]["code"] == "forbidden_host"
    assert plane.asked == []


def test_the_health_server_answers_any_name_but_only_its_pages(server: AdminServer) -> None:
    port = server.port("health")
    assert ask(port, "/live", Host="10.0.0.7:14011").status == 200
    assert ask(port, "/config").status == 404
    assert ask(port, "/quit", "POST").status == 404


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
@pytest.mark.parametrize("name", ["admin", "health"])
def test_what_is_no_request_fills_no_log(
    server: AdminServer, caplog: pytest.LogCaptureFixture, name: str, request_: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.port(name)), timeout=10) as sock:
        sock.sendall(request_)
        sock.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while sock.recv(65536):
                pass
    assert caplog.records == []


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 9_000 + b"\r\n\r\n", 431, "head_too_large"),
        (
            b"POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n",
            413,
            "body_too_large",
        ),
    ],
)
def test_what_is_no_request_is_told_so(
    server: AdminServer, request_: bytes, status: int, code: str
) -> None:
    with socket.create_connection(("127.0.0.1", server.port("health")), timeout=30) as sock:
        sock.sendall(request_)
        response = http.client.HTTPResponse(sock)
        response.begin()
        reply = Reply(response)
        assert (reply.status, reply.json["error"]["code"]) == (status, code)
        assert reply.headers["connection"] == "close"
        assert sock.recv(1) == b""


def exchange(port: int, sent: bytes, *, then_close: bool = False) -> bytes:
    """Send bytes, and return all that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(sent)
        if then_close:
            sock.shutdown(socket.SHUT_WR)
        received = b""
        while data := sock.recv(65536):
            received += data
    return received


def test_requests_behind_each_other_are_answered_in_order(server: AdminServer) -> None:
    asked = b"GET /%b HTTP/1.1\r\nHost: localhost\r\n%b\r\n"
    paths = [b"live", b"ready", b"routes"]
    sent = b"".join(asked % (path, b"") for path in paths) + asked % (
        b"x",
        b"Connection: close\r\n",
    )
    received = exchange(server.port("admin"), sent)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
    places = [received.index(word) for word in (b'"live"', b'"ready"', b'"all"', b"404")]
    assert places == sorted(places)


def test_bodies_are_taken_and_not_looked_at(server: AdminServer, plane: Plane) -> None:
    head = b"POST /drain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    length, chunked = b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"
    port = server.port("admin")
    assert exchange(port, head + length + b"\r\nbody").startswith(b"HTTP/1.1 202 Accepted")
    chunks = head + chunked + b"\r\n4\r\nbody\r\n0\r\n\r\n"
    assert exchange(port, chunks).startswith(b"HTTP/1.1 202 Accepted")
    waits = head + length + b"Expect: 100-continue\r\n\r\nbo"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(waits)
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"dy")
        assert sock.recv(65536).startswith(b"HTTP/1.1 202 Accepted")
    assert plane.asked == ["drain"] * 3


def test_a_client_that_closes_its_side_is_answered(server: AdminServer) -> None:
    asked = b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n"
    received = exchange(server.port("admin"), asked, then_close=True)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert b"c0ffee" in received


@pytest.mark.parametrize(
    "asked",
    [
        b"GET /live HTTP/1.0\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ],
)
def test_connections_that_are_closed_behind_the_answer(server: AdminServer, asked: bytes) -> None:
    received = exchange(server.port("health"), asked)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in received


def test_the_host_of_a_target_is_the_one_that_is_asked(server: AdminServer) -> None:
    asked = b"GET http://evil.example/ HTTP/1.0\r\nHost: localhost\r\n\r\n"
    assert b"forbidden_host" in exchange(server.port("admin"), asked)


def test_idle_connections_expire(server: AdminServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_http, "_IDLE", 0.01)
    assert exchange(server.port("health"), b"") == b""
    assert exchange(server.port("health"), b"GET /live HTTP") == b""


def test_head_has_headers_only(server: AdminServer) -> None:
    reply = ask(server.port("admin"), "/live", "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-length"] == "14"


def test_replies_are_not_kept_or_guessed_at(server: AdminServer) -> None:
    headers = ask(server.port("admin"), "/config").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["server"] == "llm-sidecar"


def test_live_answers_while_the_data_plane_is_busy(server: AdminServer) -> None:
    async def data_plane() -> int:
        # This loop can do nothing else until the reply is here.
        return ask(server.port("health"), "/live").status

    assert asyncio.run(data_plane()) == 200


def test_live_says_when_the_data_plane_has_stood_still(server: AdminServer, plane: Plane) -> None:
    plane.stood_still = 59.0  # busy, however much
    assert ask(server.port("health"), "/live").status == 200
    plane.stood_still = 61.0
    reply = ask(server.port("health"), "/live")
    assert (reply.status, reply.json["live"]) == (503, False)
    assert reply.json["reason"] == "the data plane has been blocked for 61 s"


def test_live_answers_while_pages_wait_for_the_data_plane(
    server: AdminServer, plane: Plane
) -> None:
    entered, release = threading.Semaphore(0), threading.Event()

    def hang() -> None:
        entered.release()
        release.wait()

    plane.wait = hang
    replies: list[int] = []
    asking = [
        threading.Thread(target=lambda: replies.append(ask(server.port("admin"), "/config").status))
        for _ in range(4)
    ]
    for thread in asking:
        thread.start()
    entered.acquire()
    entered.acquire()
    assert ask(server.port("admin"), "/live").status == 200
    assert ask(server.port("admin"), "/ready").status == 200
    assert ask(server.port("admin"), "/metrics").status == 200
    release.set()
    for thread in asking:
        thread.join()
    assert replies == [200] * 4


def test_a_data_plane_that_does_not_answer_is_busy(
    server: AdminServer, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    plane.wait = release.wait
    monkeypatch.setattr(admin_module, "ANSWER_WITHIN", 0.05)
    reply = ask(server.port("admin"), "/config")
    release.set()
    assert (reply.status, reply.json["error"]["code"]) == (503, "busy")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(TimeoutError(), 503, "busy"), (KeyError("secret"), 500, "internal")],
)
def test_errors_are_json_without_details(
    server: AdminServer,
    plane: Plane,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    code: str,
) -> None:
    def fail() -> None:
        raise error

    plane.wait = fail
    reply = ask(server.port("admin"), "/config")
    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert b"secret" not in reply.body
    assert ("failed" in caplog.text) == (status == 500)


def test_who_hoards_connections_bars_no_probe(server: AdminServer) -> None:
    where = ("127.0.0.1", server.port("health"))
    hoard = [socket.create_connection(where) for _ in range(2 * MAX_CONNECTIONS)]
    assert ask(where[1], "/live").status == 200
    with suppress(ConnectionResetError):
        assert hoard[0].recv(1) == b""  # the oldest had to go
    for held in hoard:
        held.close()


def test_a_sidecar_imports_no_aiohttp() -> None:
    program = "import sys, sidecar.run; print('aiohttp' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout == b"False\n"


def test_a_port_in_use_is_an_error_at_once(plane: Plane) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"cannot listen on {address}"):
            AdminServer(plane, ANY, address).start()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_admin_is_for_this_machine_only(plane: Plane, address: str) -> None:
    with pytest.raises(PermissionError, match="needs a loopback address"):
        AdminServer(plane, address, None).start()


def test_no_server_is_no_thread(plane: Plane) -> None:
    before = threading.active_count()
    server = AdminServer(plane, None, None)
    server.start()
    assert threading.active_count() == before
    server.stop()


def test_stopped_at_once_after_the_start(plane: Plane) -> None:
    server = AdminServer(plane, ANY, ANY)
    server.start()
    server.stop()


def test_stop_ends_kept_connections_and_frees_the_port(plane: Plane) -> None:
    server = AdminServer(plane, ANY, None)
    server.start()
    port = server.port("admin")
    kept = http.client.HTTPConnection("127.0.0.1", port)
    kept.request("GET", "/live")
    kept.getresponse().read()
    server.stop()
    socket.create_server(("127.0.0.1", port)).close()
    kept.close()


def test_rebind_moves_what_changed_and_only_that(server: AdminServer) -> None:
    old_admin, health = server.port("admin"), server.port("health")
    kept = http.client.HTTPConnection("127.0.0.1", health)
    kept.request("GET", "/live")
    kept.getresponse().read()
    server.rebind("localhost:0", ANY)
    assert server.port("health") == health
    assert ask(server.port("admin"), "/live").status == 200
    kept.request("GET", "/live")  # on the same connection
    assert kept.getresponse().status == 200
    kept.close()
    # Orders are obeyed one by one: when the new one answers on health, the old one is gone.
    with suppress(ConnectionError):
        while ask(old_admin, "/live").status == 200:
            pass


def test_rebind_that_fails_changes_nothing(server: AdminServer) -> None:
    admin, health = server.port("admin"), server.port("health")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="listen"):
        server.rebind("localhost:0", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (server.port("admin"), server.port("health")) == (admin, health)
    assert ask(admin, "/live").status == 200


def test_a_server_can_be_dropped_and_taken_up(plane: Plane) -> None:
    server = AdminServer(plane, None, None)
    server.start()
    server.rebind(ANY, None)
    port = server.port("admin")
    assert ask(port, "/live").status == 200
    server.rebind(None, ANY)
    assert ask(server.port("health"), "/live").status == 200
    server.stop()
    with pytest.raises(ConnectionError):
        ask(port, "/live")


def test_a_server_that_cannot_run_says_so(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nothing can be accepted here")

    monkeypatch.setattr(admin_module, "Acceptor", broken)
    with caplog.at_level(logging.ERROR):
        server = AdminServer(plane, ANY, None)
        server.start()
        server.stop()
    assert "nothing can be accepted here" in caplog.text


class Stream:
    """A viewer of /events."""

    def __init__(self, port: int, **headers: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        sent = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.sock.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\n{sent}\r\n".encode())
        self.response = http.client.HTTPResponse(self.sock)
        self.response.begin()

    def next(self) -> tuple[str, dict[str, Any]]:
        event, data, blank = (self.response.readline().decode() for _ in range(3))
        assert blank == "\n"
        return event.removeprefix("event: ").strip(), json.loads(data.removeprefix("data: "))

    def leave(self) -> None:
        self.response.close()
        self.sock.close()


Watch = Callable[[int], Stream]


@pytest.fixture
def watch() -> Iterator[Watch]:
    streams: list[Stream] = []

    def begin(port: int) -> Stream:
        streams.append(Stream(port))
        return streams[-1]

    yield begin
    for stream in streams:
        stream.leave()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.control.live.hub._EVERY", 0.001)
    monkeypatch.setattr("sidecar.control.live.hub._SHARE", 1.0)


@pytest.mark.usefixtures("often")
def test_events_are_streamed_and_hold_up_no_other_page(
    server: AdminServer, plane: Plane, watch: Watch
) -> None:
    port = server.port("admin")
    stream = watch(port)
    headers = stream.response.headers
    assert (headers["content-type"], headers["connection"]) == ("text/event-stream", "close")
    assert "content-length" not in headers
    assert stream.next()[0] == "snapshot"
    plane.calls.append(CallRecord(1e9, "r1", status=200))
    while not (told := stream.next()[1])["calls"]:
        assert ask(port, "/live").status == 200
    assert told["calls"][0]["id"] == "r1"


@pytest.mark.usefixtures("often")
def test_viewers_are_bounded_and_make_room(server: AdminServer, watch: Watch) -> None:
    port = server.port("admin")
    streams = [watch(port) for _ in range(MOST)]
    for stream in streams:
        assert stream.next()[0] == "snapshot"
    refused = ask(port, "/events")
    assert (refused.status, refused.json["error"]["code"]) == (503, "too_many_viewers")
    streams[0].leave()
    until_sync(lambda: watch(port).response.status == 200)


def until_sync(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not come true")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_do_not_watch(server: AdminServer, site: str) -> None:
    reply = ask(server.port("admin"), "/events", **{"Sec-Fetch-Site": site})
    assert (reply.status, reply.json["error"]["code"]) == (403, "cross_site")
    assert ask(server.port("admin"), "/events", "POST").status == 405
    assert ask(server.port("health"), "/events").status == 404


@pytest.mark.usefixtures("often")
def test_viewers_that_take_nothing_make_room(
    server: AdminServer, plane: Plane, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_http, "_STUCK", 0.05)
    plane.level = "x" * 4_000_000  # more than the kernel holds for one
    port = server.port("admin")
    for _ in range(MOST):
        assert watch(port).response.status == 200
    until_sync(lambda: watch(port).response.status == 200)


@pytest.mark.usefixtures("often")
def test_a_stop_ends_the_streams(plane: Plane, watch: Watch) -> None:
    server = AdminServer(plane, ANY, None)
    server.start()
    stream = watch(server.port("admin"))
    stream.next()
    server.stop()
    while stream.response.readline():
        pass


def test_a_browser_gets_the_page_and_other_programs_the_list(server: AdminServer) -> None:
    port = server.port("admin")
    page = ask(port, "/", Accept="text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.body.startswith(b"<!doctype html>")
    assert {"path": "/events", "methods": ["GET"]}.items() <= next(
        each for each in ask(port, "/").json if each["path"] == "/events"
    ).items()
    assert ask(port, "/page/index.html").body == page.body
    for path in (
        "/page/",
        "/page/none.js",
        "/page/../assets.py",
        "/page/..%2Fassets.py",
        "/page/.",
    ):
        assert ask(port, path).status == 404


def test_a_browser_runs_nothing_but_the_page(server: AdminServer) -> None:
    port = server.port("admin")
    for path in ("/", "/page/index.html"):
        headers = ask(port, path, Accept="text/html").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )


def test_a_browser_needs_the_token_of_the_stream(
    server: AdminServer, plane: Plane, watch: Watch
) -> None:
    port = server.port("admin")
    token = watch(port).next()[1]["token"]
    here = {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}
    assert ask(port, "/drain", "POST", **here).json["error"]["code"] == "no_token"
    assert plane.asked == []
    assert ask(port, "/drain", "POST", **here, **{"X-Sidecar-Token": token}).status == 202
    assert plane.asked == ["drain"]


def test_calls_are_followed_with_filters_and_bounds(
    server: AdminServer, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.port("admin")
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/tap?status=5xx")
        reply = connection.getresponse()
        assert reply.headers["content-type"] == "text/event-stream"
        assert reply.readline() == b": calls follow as they end\n"
        assert reply.readline() == b"\n"
        for number, status in enumerate((200, 503)):
            plane.calls.append(CallRecord(1e9, f"r{number}", status=status))
        assert reply.readline() == b"event: call\n"
        assert b'"request_id":"r1"' in reply.readline()
        monkeypatch.setattr(views_module, "MOST", 1)
        refused = ask(port, "/tap")
        assert (refused.status, refused.json["error"]["code"]) == (503, "too_many_viewers")
    bad = ask(port, "/tap?statsu=5xx")
    assert (bad.status, bad.json["error"]["code"]) == (400, "bad_filter")
    plane.calls.configure(CallsSettings(0, 0, 0, 0))
    none = ask(port, "/tap")
    assert (none.status, none.json["error"]["code"]) == (409, "no_calls_kept")
    assert ask(port, "/tap", **{"Sec-Fetch-Site": "cross-site"}).status == 403


def test_the_status_is_all_but_the_calls(server: AdminServer, plane: Plane) -> None:
    plane.stats.routes["all", "openai"] = RouteStats()
    told = ask(server.port("admin"), "/status").json
    assert told.keys() == {
        "at", "state", "routes", "endpoints", "upstreams", "budgets", "listeners", "passed",
    }  # fmt: skip
    assert told["state"]["ready"]
    assert [each["name"] for each in told["routes"]] == ["all"]
