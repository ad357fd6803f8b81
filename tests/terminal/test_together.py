"""A sidecar in a process of its own, real calls through it, and what each command says of them."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli import main
from sidecar.launch.running import Running, _free_ports, started

TAPPED = 12


class Model(BaseHTTPRequestHandler):
    """Answers as a model server does, and fails for the model `broken`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = {
            "id": "c",
            "model": asked["model"],
            "choices": [
                {"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
        body = json.dumps(answer).encode()
        self.send_response(503 if asked["model"] == "broken" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def model() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sidecar(model: str, tmp_path: Path) -> Iterator[Running]:
    listening, admin = _free_ports(2)
    config = {
        "listeners": [{"address": f"127.0.0.1:{listening}"}],
        "upstreams": {
            "good": {"endpoints": [{"url": model}]},
            "other": {"endpoints": [{"url": "http://127.0.0.1:1"}]},
        },
        "routes": [
            {"name": "headed", "match": {"headers": {"x-team": "a*"}}, "upstream": "other"},
            {"name": "chat", "match": {"path": "/v1"}, "upstream": "good", "model": "renamed"},
            {"name": "raw", "match": {"path": "/raw"}, "upstream": "good", "rewrite": "/v1"},
        ],
        "policies": {"default": {"retry": {"max": 1}}},
        "prices": {"*": {"input": 1_000, "output": 2_000}},
        "admin": {"address": f"127.0.0.1:{admin}"},
        "access_log": {"path": None},
    }
    file = tmp_path / "sidecar.yaml"
    file.write_text(json.dumps(config))
    with started(tmp_path, file) as running:
        yield running


def call(sidecar: Running, path: str, model: str) -> int:
    host, _, port = sidecar.addresses["reverse"].rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]})
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply.status


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    main(list(arguments))
    return json.loads(capsys.readouterr().out)


def test_all_commands_agree_about_real_calls(
    sidecar: Running, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = ["--admin", sidecar.admin]
    asked = ["--path", "/v1/chat/completions", "--model", "gpt-4o"]
    answer = told(capsys, "explain", *admin, *asked)
    assert (answer["route"], answer["targets"][0]["upstream"]) == ("chat", "good")
    tap = subprocess.Popen(
        [sys.executable, "-m", "sidecar", "tap", *admin, "--route", "chat", "-n", str(TAPPED)],
        stdout=subprocess.PIPE,
    )
    top = subprocess.Popen(
        [sys.executable, "-m", "sidecar", "top", *admin], stdout=subprocess.PIPE, text=True
    )
    assert top.stdout is not None
    json.loads(top.stdout.readline())
    made = 0
    while tap.poll() is None:  # it may not look yet
        assert call(sidecar, "/v1/chat/completions", "gpt-4o") == 200
        made += 1
    assert call(sidecar, "/raw/chat/completions", "broken") == 503
    tapped = [json.loads(line) for line in tap.communicate(timeout=60)[0].splitlines()]

    assert len(tapped) == TAPPED <= made
    assert {each["endpoint"] for each in tapped} == {answer["targets"][0]["endpoints"][0]["name"]}
    assert {each["endpoint"] for each in tapped} == {model}
    assert {each["model_answered"] for each in tapped} == {answer["targets"][0]["model"]}
    status = told(capsys, "status", *admin)
    routes = {each["name"]: each for each in status["routes"]}
    assert routes["chat"]["outcomes"] == {"ok": made, "failed": 0}
    assert routes["raw"]["outcomes"]["failed"] == 1
    assert routes["raw"]["retries"] == {"503": 1}
    assert routes["chat"]["cost"] == pytest.approx(made * tapped[0]["cost"])
    assert sum(each["attempts"] for each in status["endpoints"]) == made + 2

    for line in top.stdout:
        seen = {each["name"]: each for each in json.loads(line)["routes"]}
        if seen["raw"]["failed"]:
            break
    top.kill()
    top.communicate()
    assert (seen["chat"]["ok"], seen["chat"]["failed"], seen["raw"]["again"]) == (made, 0, 1)
    assert seen["chat"]["tokens_min"] > 0
    assert seen["chat"]["cost_min"] > 0
    assert seen["chat"]["first_p50_ms"] > 0
    calls = told(capsys, "calls", *admin, "--errors")
    assert [each["route"] for each in calls] == ["raw"]
