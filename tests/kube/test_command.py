"""`sidecar inject` and `uninject` as they are typed."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sidecar.cli import main
from sidecar.kube.settings import Settings

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: "app:1"}]}
"""
HOST = "kind: Pod\nmetadata: {name: h}\nspec: {hostNetwork: true, containers: [{name: a}]}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "web.yaml"
    path.write_text(DEPLOYMENT)
    return path


def test_a_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inject", str(file), "--set", "config-map=policy"]) == 0
    said = capsys.readouterr()
    spec = yaml.safe_load(said.out)["spec"]["template"]["spec"]
    assert spec["initContainers"][0]["image"] == Settings().image
    assert spec["volumes"][0]["configMap"] == {"name": "policy"}
    assert said.err == ""


def test_there_and_back(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["inject", str(file)])
    once = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(once.encode())))
    main(["inject", "-"])
    assert capsys.readouterr().out == once
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(once.encode())))
    main(["uninject", "-"])
    assert yaml.safe_load(capsys.readouterr().out) == yaml.safe_load(DEPLOYMENT)


def test_several_files_are_one_stream(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "host.yaml"
    other.write_text(HOST.rstrip())
    assert main(["inject", str(other), str(file), str(other)]) == 0
    said = capsys.readouterr()
    documents = list(yaml.safe_load_all(said.out))
    assert [document["kind"] for document in documents] == ["Pod", "Deployment", "Pod"]
    assert said.err.count("Pod h: skipped: hostNetwork") == 2
    assert said.out.count("# llm-sidecar: Pod h: skipped: hostNetwork") == 2


def test_defaults_from_a_file_and_pod_security(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = tmp_path / "defaults.yaml"
    defaults.write_text("mode: capture\nconfig-map: c\nport: 15001\n")
    arguments = ["inject", str(file), "--defaults", str(defaults)]
    assert main(arguments) == 0
    assert "NET_ADMIN" in capsys.readouterr().out
    assert main([*arguments, "--pod-security", "baseline"]) == 0
    said = capsys.readouterr()
    assert "- NET_ADMIN" not in said.out
    assert "15001/v1" in said.out
    assert "mode base-url is used instead of capture" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "mode"], "mode: expected NAME=VALUE"),
        (["--set", "mode=x"], "mode: invalid enum value 'x'"),
        (["--set", "mood=x"], 'mood: unknown (did you mean "mode"?)'),
        (["--defaults", "/none.yaml"], "No such file or directory"),
    ],
)
def test_bad_settings(
    file: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inject", str(file), *arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"sidecar inject: {message}\n"


@pytest.mark.parametrize("text", ["- 1", "a: ["])
def test_bad_defaults(file: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    defaults = file.with_name("defaults.yaml")
    defaults.write_text(text)
    assert main(["inject", str(file), "--defaults", str(defaults)]) == 1
    assert str(defaults) in capsys.readouterr().err


@pytest.mark.parametrize("command", ["inject", "uninject"])
@pytest.mark.parametrize(("name", "text"), [("none", None), ("bad", b"a: ["), ("bin", b"\xff")])
def test_files_that_can_not_be_read(
    command: str, name: str, text: bytes | None, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = file.with_name(name)
    if text is not None:
        bad.write_bytes(text)
    assert main([command, str(file), str(bad)]) == 1
    said = capsys.readouterr()
    assert said.out == "", "all or nothing"
    assert said.err.startswith(f"sidecar {command}: {bad}: ")


def test_a_bad_annotation_is_a_mistake_in_the_file(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(DEPLOYMENT.replace("{labels:", "{annotations: {llm-sidecar/mode: x}, labels:"))
    assert main(["inject", str(file)]) == 1
    assert "llm-sidecar/mode: invalid enum value 'x'" in capsys.readouterr().err


def test_mistakes_are_named_with_file_document_object_and_path(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f"{DEPLOYMENT}---\n{DEPLOYMENT.replace('[{name: app', '[{env: 1, name: app')}")
    assert main(["inject", str(file)]) == 1
    assert capsys.readouterr().err == (
        f"sidecar inject: {file}: document 2: Deployment web: "
        "spec.template.spec.containers[0].env: expected a list, got a number\n"
    )


def test_line_ends_and_a_byte_order_mark_stay(
    file: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    written = b"\xef\xbb\xbf" + DEPLOYMENT.replace("\n", "\r\n").encode()
    file.write_bytes(written)
    assert main(["inject", str(file)]) == 0
    made = capfdbinary.readouterr().out
    assert made.startswith(b"\xef\xbb\xbfapiVersion")
    assert made.count(b"\n") == made.count(b"\r\n") > 0
    file.write_bytes(made)
    assert main(["uninject", str(file)]) == 0
    assert capfdbinary.readouterr().out == written


def test_whoever_reads_may_stop(file: Path) -> None:
    command = f"{sys.executable} -m sidecar inject {file} {file} | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
