"""What is a key, by its name."""

from __future__ import annotations

import pytest

from sidecar.http.keys import is_key, keys_among, protocols_without_keys, without_keys

KEYS = [
    "authorization", "proxy-authorization", "x-api-key", "api-key", "apikey", "x-goog-api-key",
    "cookie", "openai-organization", "openai-project", "x-amz-security-token",
    "ocp-apim-subscription-key", "x-functions-key", "xi-api-key", "x-rapidapi-key", "private-token",
    "x-vault-token", "x-auth-token", "helicone-auth", "cf-aig-authorization", "x-portkey-api-key",
    "x-portkey-virtual-key", "cf-access-client-secret", "cf-access-client-id",
    "cf-access-jwt-assertion", "x-goog-iap-jwt-assertion", "x-goog-iam-authorization-token",
    "x-goog-user-project", "x-ms-token-aad-access-token", "x-ms-client-principal",
    "x-amzn-oidc-data", "x-forwarded-access-token", "x-forwarded-client-cert", "x-csrf-token",
    "signature", "signature-input", "dpop", "token", "x_api_key", "anthropic-workspace-id",
    "x-litellm-master-key", "x-session-token",
]  # fmt: skip
OTHERS = [
    "accept", "accept-encoding", "anthropic-beta", "anthropic-version", "content-type",
    "idempotency-key", "openai-beta", "sec-websocket-key", "sec-websocket-version", "user-agent",
    "x-goog-api-client", "x-max-tokens", "x-request-id", "x-session-id", "x-stainless-lang",
    "x-stainless-retry-count", "x-user", "author", "x-cache-key", "x-amz-date", "origin", "keep",
    "x-goog-request-params", "traceparent", "sec-fetch-site", "x-signal", "max-forwards",
]  # fmt: skip


@pytest.mark.parametrize("name", KEYS)
def test_keys(name: str) -> None:
    assert is_key(name.encode())


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str) -> None:
    assert not is_key(name.encode())


def test_those_among_many() -> None:
    names = [name.encode() for name in KEYS + OTHERS]
    assert keys_among(names) == {name.encode() for name in KEYS}


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (b"/v1/x", b"/v1/x"),
        (b"/v1/x?", b"/v1/x?"),
        (b"/v1beta/m:g?key=AIza&alt=sse", b"/v1beta/m:g?alt=sse"),
        (b"/v1beta/m:g?alt=sse&KEY=AIza", b"/v1beta/m:g?alt=sse"),
        (b"/x?k%65y=1", b"/x"),
        (b"/x?key", b"/x"),
        (b"/x?api_key=1&apiKey=2&api-key=3&access_token=4&accessToken=5&sig=6&token=7", b"/x"),
        (b"/x?X-Amz-Signature=1&X-Amz-Credential=2&X-Amz-Date=3", b"/x?X-Amz-Date=3"),
        (b"/x?subscription-key=1&model=m", b"/x?model=m"),
        (
            b"/x?pageToken=1&max_tokens=2&keyword=3&keys=4",
            b"/x?pageToken=1&max_tokens=2&keyword=3&keys=4",
        ),
        (b"/x?a=1&&b=%20&c", b"/x?a=1&&b=%20&c"),
        (b"/x?a=b?key=c", b"/x?a=b?key=c"),
    ],
)
def test_targets(target: bytes, kept: bytes) -> None:
    assert without_keys(target) == kept


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        (b"realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1",
         b"realtime, openai-beta.realtime-v1"),
        (b"realtime,openai-organization.org-1,openai-project.proj_1", b"realtime"),
        (b"base64url.bearer.authorization.k8s.io.abc,v4.channel.k8s.io", b"v4.channel.k8s.io"),
        (b"openai-insecure-api-key.sk-1", b""),
    ],
)  # fmt: skip
def test_protocols(offered: bytes, kept: bytes) -> None:
    assert protocols_without_keys(offered) == kept
