"""What is measured: heads that are new in each message, and configurations as users write them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h11
import pytest
import yaml

from bench import messages, provider, wrk
from bench.contenders import Place

CONFIGS = Path(__file__).parents[2] / "bench" / "configs"


def fields(message: bytes) -> list[tuple[bytes, bytes]]:
    """The head's, as h11 reads them."""
    conn = h11.Connection(h11.CLIENT if message.startswith(b"HTTP/") else h11.SERVER)
    conn.receive_data(message)
    head = conn.next_event()
    assert isinstance(head, h11.Request | h11.Response)
    data = conn.next_event()
    assert isinstance(data, h11.Data)
    assert isinstance(conn.next_event(), h11.EndOfMessage)
    return list(head.headers)


def test_each_call_has_its_own_trace_and_key() -> None:
    make = provider.requests("llm.bench", messages.body())
    first, second = fields(make()), fields(make())
    assert len(first) == len(provider.HEADERS) + 2
    new = [name for (name, value), (_, other) in zip(first, second, strict=True) if value != other]
    assert new == [b"idempotency-key", b"traceparent"]


def test_each_reply_has_its_own_ids_and_cookie() -> None:
    heads = provider.Heads()
    first, second = (fields(heads.make() + messages.REPLY) for _ in range(2))
    assert len(first) == 24
    new = {name for (name, value), (_, other) in zip(first, second, strict=True) if value != other}
    assert new >= {b"x-request-id", b"cf-ray", b"set-cookie"}


def test_a_trace_is_valid() -> None:
    made = dict(fields(provider.requests("llm.bench", b"{}")()))
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01", made[b"traceparent"])


def test_wrk_makes_heads_where_they_are_to_be_new(tmp_path: Path) -> None:
    scripts = {name: path.read_text() for name, path in wrk.write_scripts(tmp_path).items()}
    made = {name: re.findall(r"hex\((\d+)\)", text) for name, text in scripts.items()}
    each = [str(digits) for digits in provider.HEX.values()]
    assert made == {wrk.PROVIDER: each, wrk.PLAIN: [], wrk.CLOSING: each}


def config(name: str, folder: Path, ca: Path | None = None) -> dict[str, Any]:
    path = Place(folder, 1, [2, 3, 4], ca=ca).config(name)
    text = path.read_text()
    assert "@" not in text.replace("@type", "")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_the_sidecar_is_measured_as_it_comes(tmp_path: Path) -> None:
    plain = config("sidecar.yaml", tmp_path)
    assert plain.keys() == {
        *("listeners", "upstreams", "routes", "policies", "access_log", "admin"),
    }
    (upstream,) = plain["upstreams"].values()
    assert upstream.keys() == {"balance", "endpoints"}


@pytest.mark.parametrize("name", ["sidecar.yaml", "envoy.yaml"])
def test_endpoints_speak_tls_where_there_is_a_ca(name: str, tmp_path: Path) -> None:
    plain = str(config(name, tmp_path))
    secure = str(config(name, tmp_path, ca=tmp_path / "ca.crt"))
    assert "ca.crt" in secure
    assert "ca.crt" not in plain
