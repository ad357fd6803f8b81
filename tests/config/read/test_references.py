from pathlib import Path
from typing import Any

import pytest

from sidecar.config.read.references import MAX_EXPANDED, MAX_FILE, Kind, expand, from_system, masked

THERE = {
    ("env", "KEY"): "sk-1",
    ("env", "EMPTY"): "",
    ("env", "NESTED"): "${env:KEY}",
    ("file", "conf/key"): "sk-2\n",
    ("file", "/abs/key"): "sk-3\r\n",
    ("file", "conf/two"): "a\n\n",
    ("file", "conf/ca.pem"): "PEM",
    ("file", "conf/large"): "x" * (MAX_EXPANDED // 2 + 1),
}


def resolve(kind: Kind, name: str) -> str:
    if name == "conf/binary":
        raise UnicodeDecodeError("utf-8", b"\xffsecret", 0, 1, "invalid start byte")
    if kind == "file" and (kind, name) not in THERE:
        raise FileNotFoundError(2, "No such file or directory", "secret")
    return THERE[kind, name]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain $ {env:KEY} $KEY", "plain $ {env:KEY} $KEY"),
        ("${env:KEY}", "sk-1"),
        ("Bearer ${env:KEY}!", "Bearer sk-1!"),
        ("${env:KEY}${file:key}", "sk-1sk-2"),
        ("${env:EMPTY}", ""),
        ("${file:/abs/key}", "sk-3"),
        ("${file:two}", "a\n"),
        ("$${env:KEY}", "${env:KEY}"),
        ("$$${env:KEY}", "$${env:KEY}"),
        ("${env:NESTED}", "${env:KEY}"),
    ],
)
def test_what_references_stand_for(text: str, value: str) -> None:
    done = expand({"a": [text, 1, None]}, folder="conf", resolve=resolve)
    assert done.root == {"a": [value, 1, None]}
    assert not done.problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${env:MISSING}", "environment variable MISSING is not set"),
        ("${file:missing}", "cannot read file conf/missing: No such file or directory"),
        ("${file:binary}", "cannot read file conf/binary: not UTF-8 text"),
        ("${KEY}", "expected ${env:NAME} or ${file:PATH}; write $${ for a plain ${"),
        ("${env:}", "expected ${env:NAME}"),
        ("${env:A-B}", "expected ${env:NAME}"),
        ("${file:", "expected ${env:NAME}"),
        ("${file:large}${file:large}", "the references expand to more than"),
    ],
)
def test_references_to_nothing(text: str, message: str) -> None:
    done = expand({"a": {"b": text}}, folder="conf", resolve=resolve)
    (problem,) = done.problems
    assert problem.path == ("a", "b")
    assert problem.message.startswith(message)
    assert "secret" not in problem.message


def test_each_place_of_a_missing_reference_is_told() -> None:
    done = expand(["${env:NO}", "${env:NO}"], folder="", resolve=resolve)
    assert [problem.path for problem in done.problems] == [(0,), (1,)]


def test_keys_are_left_alone() -> None:
    assert expand({"${env:KEY}": 1}, folder="", resolve=resolve).root == {"${env:KEY}": 1}


def test_files_are_named_even_when_they_are_missing() -> None:
    tls = {"ca": "ca.pem", "cert": "/abs/key", "key": "${env:KEY}", "server_name": "x"}
    root = {"a": "${file:key} ${file:gone}", "upstreams": {"u": {"tls": tls}}}
    done = expand(root, folder="conf", resolve=resolve)
    assert done.files == {"conf/key", "conf/gone", "conf/ca.pem", "/abs/key", "conf/sk-1"}
    assert [(p.path, p.message) for p in done.problems] == [
        (("a",), "cannot read file conf/gone: No such file or directory"),
        (("upstreams", "u", "tls", "key"), "cannot read the file: No such file or directory"),
    ]
    assert isinstance(done.root, dict)
    assert done.root["upstreams"]["u"]["tls"]["ca"] == "conf/ca.pem"
    assert tls["ca"] == "ca.pem"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Bearer ${file:key}", "Bearer ${file:key}"),
        ("${env:KEY}", "${env:KEY}"),
        ("sk-literal", "***"),
        ("Bearer sk-literal", "Bearer ***"),
        ("bearersk-literal", "***"),
        ("${env:KEY}-tail", "${env:KEY}***"),
        ("Basic x${env:KEY}y", "Basic ***${env:KEY}***"),
        ("$${env:KEY}", "***"),
        (12345, "***"),
        (["sk"], "***"),
    ],
)
def test_literal_credentials_are_masked(value: object, shown: str) -> None:
    root = {"upstreams": {"u": {"credentials": {"header": "x", "value": value}}, "v": 1}}
    done = masked(root)
    assert isinstance(done, dict)
    assert done["upstreams"]["u"]["credentials"] == {"header": "x", "value": shown}


def test_each_of_several_keys_is_masked() -> None:
    keys = [{"header": "x", "value": "Bearer sk-1"}, {"value": "${file:k}"}, {"header": "x"}, 5]
    done: Any = masked({"upstreams": {"u": {"credentials": keys}}})
    assert done["upstreams"]["u"]["credentials"] == [
        {"header": "x", "value": "Bearer ***"}, {"value": "${file:k}"}, {"header": "x"}, 5
    ]  # fmt: skip


def test_keys_that_a_route_matches_are_masked() -> None:
    said = {"Authorization": "Bearer sk-*", "x-api-key": "${env:K}", "cookie": "*", "x-team": "a*"}
    done: Any = masked({"routes": [{"match": {"headers": said}}, {"match": None}, 3]})
    assert done["routes"][0]["match"]["headers"] == {
        "Authorization": "Bearer ***", "x-api-key": "${env:K}", "cookie": "*", "x-team": "a*"
    }  # fmt: skip


def test_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_TEST", "here")
    assert from_system("env", "SIDECAR_TEST") == "here"
    (tmp_path / "key").write_text("text\n")
    assert from_system("file", str(tmp_path / "key")) == "text\n"


def test_the_system_refuses_what_is_no_small_text_file(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE + 1))
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(KeyError):
        from_system("env", "SIDECAR_TEST_MISSING")
    with pytest.raises(FileNotFoundError):
        from_system("file", str(tmp_path / "missing"))
    with pytest.raises(OSError, match="not a regular file"):
        from_system("file", str(tmp_path))
    with pytest.raises(OSError, match="larger than"):
        from_system("file", str(tmp_path / "large"))
    with pytest.raises(UnicodeDecodeError):
        from_system("file", str(tmp_path / "binary"))
