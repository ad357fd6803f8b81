"""Centres for tests: a real etcd, and servers that answer as the documentation of others says."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

HELD = 3.0
"""Seconds that a question is held here, where the real ones hold it for half a minute or more."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Centre:
    """Something that keeps a text. It can be stopped, and started again at the same address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.text: str | None = None
        self.index = 10
        self.changed = threading.Condition()
        self.server: ThreadingHTTPServer | None = None
        self.asked: list[str] = []
        self.garbage: bytes | None = None
        """Answers everything, in place of the protocol."""

    def start(self) -> None:
        centre = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self.answers(b"")

            def do_POST(self) -> None:
                self.answers(self.rfile.read(int(self.headers.get("content-length", 0))))

            def answers(self, body: bytes) -> None:
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                centre.asked.append(self.path)
                with suppress(OSError):
                    if centre.garbage is not None:
                        centre.says(self, 200, centre.garbage)
                        return
                    centre.answer(self, url.path, query, body)

        ThreadingHTTPServer.allow_reuse_address = True
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        server, self.server = self.server, None
        assert server is not None
        server.shutdown()
        server.server_close()
        with self.changed:
            self.changed.notify_all()  # who is held goes on

    def put(self, text: str) -> None:
        with self.changed:
            self.text = text
            self.index += 1
            self.changed.notify_all()

    def hold(self, until: Any) -> None:
        """Return once *until* says so, after a while, or when the centre stops."""
        end = time.monotonic() + HELD
        with self.changed:
            while not until() and self.server is not None and time.monotonic() < end:
                self.changed.wait(0.1)

    def arguments(self, folder: Path) -> str:
        """What `--config` takes; secrets are in *folder*."""
        raise NotImplementedError

    def answer(
        self, handler: BaseHTTPRequestHandler, path: str, query: dict[str, str], body: bytes
    ) -> None:
        raise NotImplementedError

    def says(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str
    ) -> None:
        if self.server is None:
            handler.close_connection = True
            return
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


class Consul(Centre):
    """Blocking queries on one key. A wake-up without a change comes with each other key's."""

    token = "s3cret"

    def answer(self, handler: Any, path: str, query: dict[str, str], body: bytes) -> None:
        if handler.headers.get("X-Consul-Token") != self.token:
            self.says(handler, 403, b"Permission denied")
            return
        if "index" in query:
            self.hold(lambda: self.index > int(query["index"]))
        found = path == "/v1/kv/team/sidecar.yaml" and self.text is not None
        text = (self.text or "").encode() if found else b""
        self.says(handler, 200 if found else 404, text, X_Consul_Index=str(self.index))

    def arguments(self, folder: Path) -> str:
        (folder / "token").write_text(self.token)
        return f"consul://127.0.0.1:{self.port}/team/sidecar.yaml?token_file={folder}/token"


class Nacos1(Centre):
    """Version 1: a listener that holds a question until the MD5 differs."""

    def answer(self, handler: Any, path: str, query: dict[str, str], body: bytes) -> None:
        if path == "/nacos/v1/cs/configs":
            place = (query.get("dataId"), query.get("group"), query.get("tenant", ""))
            found = place == ("sidecar.yaml", "llm", "blue") and self.text is not None
            self.says(handler, 200 if found else 404, (self.text or "").encode() if found else b"")
        elif path == "/nacos/v1/cs/configs/listener":
            [asked] = parse_qs(body.decode())["Listening-Configs"]
            data_id, group, md5, tenant = asked.removesuffix("\x01").split("\x02")
            assert (data_id, group, tenant) == ("sidecar.yaml", "llm", "blue")
            self.hold(lambda: self.md5() != md5)
            other = self.md5() != md5
            self.says(handler, 200, b"sidecar.yaml%02llm%02blue%01\n" if other else b"")
        else:
            self.says(handler, 404)

    def md5(self) -> str:
        return hashlib.md5((self.text or "").encode(), usedforsecurity=False).hexdigest()

    def arguments(self, folder: Path) -> str:
        return f"nacos://127.0.0.1:{self.port}/blue/llm/sidecar.yaml"


class Nacos3(Centre):
    """Version 3's client API, with a login. It is polled."""

    tokens: ClassVar[set[str]] = set()

    def answer(self, handler: Any, path: str, query: dict[str, str], body: bytes) -> None:
        if path == "/nacos/v3/auth/user/login":
            good = body == b"username=ann&password=pass"
            self.tokens.add("t1")
            token = json.dumps({"accessToken": "t1", "tokenTtl": 18000}).encode()
            self.says(handler, 200 if good else 403, token if good else b"unknown user")
        elif path != "/nacos/v3/client/cs/config":
            self.says(handler, 404)
        elif query.get("accessToken") not in self.tokens:
            self.says(handler, 403, b'{"code":403}')
        elif self.text is None or query.get("namespaceId", "") != "":
            self.says(handler, 404, b'{"code":20004,"message":"resource not found"}')
        else:
            data = {"content": self.text, "md5": "?"}
            self.says(handler, 200, json.dumps({"code": 0, "data": data}).encode())

    def arguments(self, folder: Path) -> str:
        (folder / "password").write_text("pass\n")
        place = f"127.0.0.1:{self.port}/public/llm/sidecar.yaml"
        return f"nacos://ann@{place}?password_file={folder}/password"


class Apollo(Centre):
    """Notifications that are held, and releases."""

    def answer(self, handler: Any, path: str, query: dict[str, str], body: bytes) -> None:
        if path == "/notifications/v2":
            [asked] = json.loads(query["notifications"])
            assert asked["namespaceName"] == "sidecar.yaml"
            self.hold(lambda: self.index != asked["notificationId"])
            if self.index == asked["notificationId"]:
                self.says(handler, 304)
                return
            new = [{"namespaceName": "sidecar.yaml", "notificationId": self.index}]
            self.says(handler, 200, json.dumps(new).encode())
        elif path == "/configs/shop/default/sidecar.yaml" and self.text is not None:
            told = {"configurations": {"content": self.text}, "releaseKey": f"r{self.index}"}
            self.says(handler, 200, json.dumps(told).encode())
        else:
            self.says(handler, 404)

    def arguments(self, folder: Path) -> str:
        return f"apollo://127.0.0.1:{self.port}/shop/default/sidecar.yaml"


class Page(Centre):
    """A web server with entity tags."""

    def answer(self, handler: Any, path: str, query: dict[str, str], body: bytes) -> None:
        tag = f'"{self.index}"'
        if path == "/old.yaml":
            self.says(handler, 302, Location="/policy/sidecar.yaml")
        elif path != "/policy/sidecar.yaml" or self.text is None:
            self.says(handler, 404, b"no such page")
        elif handler.headers.get("If-None-Match") == tag:
            self.says(handler, 304, ETag=tag)
        else:
            self.says(handler, 200, self.text.encode(), ETag=tag)

    def arguments(self, folder: Path) -> str:
        return f"http://127.0.0.1:{self.port}/old.yaml?every=0.2"


class ConfigMap(Centre):
    """The API server's ConfigMaps: one object, and a watch of it."""

    def answer(self, handler: Any, path: str, query: dict[str, str], body: bytes) -> None:
        if handler.headers.get("Authorization") != "Bearer jwt":
            self.says(handler, 401, b'{"kind":"Status"}')
        elif path == "/api/v1/namespaces/shop/configmaps/llm" and self.text is not None:
            self.says(handler, 200, json.dumps(self.shown()).encode())
        elif path == "/api/v1/namespaces/shop/configmaps" and query.get("watch") == "true":
            assert query["fieldSelector"] == "metadata.name=llm"
            version = int(query["resourceVersion"])
            handler.send_response(200)
            handler.send_header("Connection", "close")
            handler.end_headers()
            handler.close_connection = True
            self.hold(lambda: self.index > version)
            if self.index > version and self.server is not None:
                event = {"type": "MODIFIED", "object": self.shown()}
                handler.wfile.write(json.dumps(event).encode() + b"\n")
        else:
            self.says(handler, 404, b'{"kind":"Status"}')

    def shown(self) -> dict[str, Any]:
        data = {"sidecar.yaml": self.text}
        return {"metadata": {"name": "llm", "resourceVersion": str(self.index)}, "data": data}

    def arguments(self, folder: Path) -> str:
        (folder / "jwt").write_text("jwt\n")
        server = f"http://127.0.0.1:{self.port}"
        return f"k8s://shop/llm/sidecar.yaml?server={server}&token_file={folder}/jwt"


class Etcd(Centre):
    """The real one, of one member."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="etcd")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{free_port()}"
        command = [
            "etcd", "--data-dir", self.folder, "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            "--unsafe-no-fsync", "--force-new-cluster",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while True:
            with suppress(OSError):
                self.ask("kv/range", {"key": b64encode(b"x").decode()})
                return
            assert self.process.poll() is None
            time.sleep(0.05)

    def stop(self) -> None:
        process, self.process = self.process, None
        assert process is not None
        process.kill()
        process.wait()

    def put(self, text: str) -> None:
        pair = {"key": b64encode(b"team/sidecar.yaml").decode()}
        self.ask("kv/put", {**pair, "value": b64encode(text.encode()).decode()})

    def ask(self, path: str, message: dict[str, Any]) -> Any:
        url = f"http://127.0.0.1:{self.port}/v3/{path}"
        request = urllib.request.Request(url, json.dumps(message).encode())
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read())

    def arguments(self, folder: Path) -> str:
        return f"etcd://127.0.0.1:1,127.0.0.1:{self.port}/team/sidecar.yaml"


KINDS: tuple[type[Centre], ...] = (Consul, Nacos1, Nacos3, Apollo, Page, ConfigMap)
if shutil.which("etcd"):
    KINDS = (*KINDS, Etcd)
