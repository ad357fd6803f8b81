"""What a listener's settings ask of each other."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from sidecar.config.load import ConfigErrors, load


def errors(listener: str) -> list[str]:
    tree: Any = {
        "listeners": [yaml.safe_load(listener)],
        "upstreams": {"a": {"endpoints": [{"url": "http://a"}]}},
        "routes": [{"upstream": "a"}],
    }
    try:
        load(yaml.safe_dump(tree), file="", resolve=lambda kind, name: "text")
    except ConfigErrors as caught:
        return [f"{error.key}: {error.message}" for error in caught.errors if error.line]
    return []


TLS = "tls: {cert: one.crt, key: one.key}"
KEYS = "callers: {a: ['sha256:" + "0" * 64 + "']}"


@pytest.mark.parametrize(
    "listener",
    [
        f"{{address: 'a:1', {TLS}}}",
        f"{{address: 'a:1', {TLS}, access: {{certificates: {{ca: ca.pem}}}}}}",
        f"{{address: 'a:1', {TLS}, access: {{certificates: {{ca: ca.pem, name: [cn]}}, {KEYS}}}}}",
        f"{{path: /a, access: {{{KEYS}}}}}",
    ],
)
def test_what_goes_together(listener: str) -> None:
    assert not errors(listener)


@pytest.mark.parametrize(
    ("listener", "wrong"),
    [
        ("{address: 'a:1', tls: {}}", ".tls.cert: "),
        (f"{{address: 'a:1', {TLS}, access: {{certificates: {{ca: ca.pem, name: []}}}}}}",
         ".access.certificates.name: "),
        (f"{{address: 'a:1', {TLS}, access: {{certificates: {{ca: ca.pem, allow: ['']}}}}}}",
         ".access.certificates.allow[0]: "),
        ("{address: 'a:1', access: {certificates: {ca: ca.pem}}}",
         ".access.certificates: needs `tls`"),
        ("{address: 'a:1', access: {}}",
         ".access: lets nobody in: give `callers`, `tokens` or `certificates`"),
        ("{address: 'a:1', access: {tokens: {keys: a, issuer: b, audiences: []}}}",
         ".access.tokens.audiences: "),
        ("{address: 'a:1', access: {tokens: {keys: a, issuer: '', audiences: [b]}}}",
         ".access.tokens.issuer: "),
        ("{address: 'a:1', access: {tokens: {keys: a, issuer: b, audiences: [b], header: a b}}}",
         ".access.tokens.header: "),
        ("{address: 'a:1', access: {callers: {}}}", ".access: lets nobody in"),
        (f"{{path: /a, {TLS}}}", ".tls: a Unix socket has no TLS"),
        (f"{{address: 'a:1', {TLS}, half_close: serve}}", ".half_close: TLS can't be closed on"),
        (f"{{mode: forward, address: 'a:1', {TLS}}}",
         ".tls: mode forward has no certificate of its own"),
    ],
)  # fmt: skip
def test_what_does_not(listener: str, wrong: str) -> None:
    (error,) = errors(listener)
    assert error.startswith(f"listeners[0]{wrong}"), error
