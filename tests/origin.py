"""The internet, as far as the tests of interception need it: `python origin.py FOLDER`.

Over TLS on port 443 an LLM for any name but `broken.test`, which answers 503; on 5432 a server
that speaks first. Its CA and identity are put into FOLDER, and a line for each request.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

NAMES = ("api.openai.com", "broken.test", "other.test")


class Handler(BaseHTTPRequestHandler):
    """Says who was asked, and remembers what told a sidecar's request from a client's own."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"hello from " + self.headers["host"].encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if b'"stream":true' in body.replace(b" ", b""):
            self._stream()
            return
        message = {"role": "assistant", "content": "fine"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
        self._answer(json.dumps({**reply, "choices": [choice]}).encode())

    def _stream(self) -> None:
        """Some events, slowly enough that a client can leave between two."""
        self._begin("text/event-stream", "transfer-encoding", "chunked")
        with contextlib.suppress(OSError):
            for _ in range(10):
                choice = {"index": 0, "delta": {"content": "fine"}, "finish_reason": None}
                event = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
                self._chunk(f"data: {json.dumps({**event, 'choices': [choice]})}\n\n".encode())
                time.sleep(0.01)
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _answer(self, body: bytes) -> None:
        self._begin("application/json", "content-length", str(len(body)))
        self.wfile.write(body)

    def _begin(self, kind: str, name: str, value: str) -> None:
        host = self.headers["host"]
        line = {"host": host, "carried": "traceparent" in self.headers, "path": self.path}
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.send_response(503 if host == "broken.test" else 200)
        self.send_header("content-type", kind)
        self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


class TlsServer(ThreadingHTTPServer):
    """Shakes hands in each connection's thread, so that none holds up the others."""

    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)

    def finish_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        with contextlib.suppress(OSError), context.wrap_socket(request, server_side=True) as inside:
            self.RequestHandlerClass(inside, client_address, self)  # type: ignore[arg-type]


class SpeaksFirst(socketserver.BaseRequestHandler):
    """Greets, then echoes."""

    def handle(self) -> None:
        self.request.sendall(b"220 hello\n")
        while data := self.request.recv(65536):
            self.request.sendall(data)


class FirstServer(socketserver.ThreadingTCPServer):
    """The server that speaks first."""

    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True


folder = Path(sys.argv[1])
log = folder / "requests.log"
authority = trustme.CA()
identity = authority.issue_cert(*NAMES)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
identity.configure_cert(context)
authority.cert_pem.write_to_path(str(folder / "origin-ca.pem"))
identity.private_key_and_cert_chain_pem.write_to_path(str(folder / "origin.pem"))
for server in (TlsServer(("::", 443), Handler), FirstServer(("::", 5432), SpeaksFirst)):
    threading.Thread(target=server.serve_forever).start()
print("ready", flush=True)
