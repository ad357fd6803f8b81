"""`sidecar explain`, of a file and beside a sidecar that runs."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from sidecar.cli import main
from sidecar.launch.running import _free_ports, started

CONFIG = """
listeners: [{address: 127.0.0.1:14001}]
upstreams:
  glm:
    endpoints: [{url: http://glm-0:8000}]
    credentials: {header: authorization, value: "Bearer ${env:NOWHERE_TO_BE_FOUND}"}
routes: [{name: glm, match: {model: "glm-*"}, upstream: glm}]
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "sidecar.yaml"
    path.write_text(CONFIG)
    return str(path)


def explain(*arguments: str) -> int:
    return main(["explain", *arguments])


def test_lines_for_people(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert explain("-c", file, "--no-json", "--model", "glm-4") == 0
    assert (
        capsys.readouterr().out
        == """\
POST /v1/chat/completions for host 127.0.0.1:14001 and model
  glm-4 goes to route glm, the 1st of 1.
Under policy default, connecting may take 5 s, the first
  byte of a reply 600 s, a silence in it 120 s, and the
  whole call any time.
A failure that may be mended gets up to 2 retries.
Upstream glm gets the call, asked for model glm-4, with the
  sidecar's key in authorization.
Upstream glm has the endpoint http://glm-0:8000, chosen by
  round_robin.
"""
    )


def test_json_for_programs(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--body", '{"model": "glm-4", "stream": true}', "--header", "x-team: a", "--method"]
    assert explain("-c", file, *asked, "PUT", "--path", "/x", "--host", "a.test") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["route"] == "glm"
    assert answer["asked"] == {
        "method": "PUT", "path": "/x", "host": "a.test", "model": "glm-4", "stream": True,
        "headers": ["content-length", "content-type", "host", "x-team"],
    }  # fmt: skip


def test_a_call_that_would_be_refused_is_a_failure(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain("-c", file, "--no-json", "--body", "no json") == 1
    assert capsys.readouterr().out.startswith("The caller gets 404 no_route: ")


def test_what_can_not_be_explained(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(CONFIG.replace("upstream:", "upstrem:"))
    for arguments, code, message in (
        (["-c", str(bad)], 1, f"{bad}:7: routes[0].upstrem: unknown key"),
        (["-c", str(tmp_path / "none")], 1, "sidecar explain: can't read "),
        (["-c", "ftp://x/y"], 2, "sidecar explain: "),
        (["-c", file, "--listener", "x"], 2, "sidecar explain: there is no listener x"),
        (["-c", file, "--header", "x"], 2, "sidecar explain: a header is written as"),
        (["--admin", "127.0.0.1:1"], 1, "sidecar explain: no sidecar answers at 127.0.0.1:1 ("),
    ):
        assert explain(*arguments) == code
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(message)


def test_a_sidecar_that_runs_knows_how_endpoints_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "sidecar.yaml"
    listening, admin_port = _free_ports(2)
    text = CONFIG.replace("${env:NOWHERE_TO_BE_FOUND}", "sk-0123456789-abcd")
    text = text.replace("14001", str(listening))
    config.write_text(f"{text}admin: {{address: '127.0.0.1:{admin_port}'}}\n")
    with started(tmp_path, config) as sidecar:
        admin = ["--admin", sidecar.admin]
        assert explain(*admin, "--no-json", "--model", "glm-4") == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "with the sidecar's key in authorization that ends in …abcd." in text
        assert "1 of 1 endpoints of glm are in rotation, chosen by round_robin." in text
        assert explain(*admin, "--model", "other") == 1
        answer = json.loads(capsys.readouterr().out)
        assert answer["live"]
        assert answer["refused"]["code"] == "no_route"
        connection = http.client.HTTPConnection(sidecar.admin, timeout=30)
        connection.request("GET", "/routes")
        (route,) = json.loads(connection.getresponse().read())
        connection.close()
        assert (route["calls"], route["in_flight"]) == (0, 0)
