"""The environment variables that lead a program's calls to a sidecar. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from sidecar.ca.folder import PASSWORD

if TYPE_CHECKING:
    from sidecar.ca.trust import Trust

Mode = Literal["base-url", "proxy", "capture"]

_AZURE: Final = re.compile(r"https://([A-Za-z0-9-]{1,63})\.openai\.azure\.com/?")
_LOCAL: Final = (
    "localhost", "127.0.0.0/8", "127.0.0.1", "::1", "10.0.0.0/8", "172.16.0.0/12",
    "192.168.0.0/16", "169.254.0.0/16", ".local", ".internal", ".svc", ".cluster.local",
)  # fmt: skip
"""Where no LLM is called by a name that a route knows, and a proxy would refuse to go."""


def variables(
    mode: Mode,
    addresses: Mapping[str, str],
    trust: Trust | None,
    environ: Mapping[str, str],
) -> dict[str, str]:
    """What a program needs in *mode*, besides or instead of what is in *environ*.

    *addresses* of listeners, by mode. Raise LookupError if there is none for it.
    """
    if mode == "base-url":
        return _base_urls(f"http://{addresses['reverse']}", environ)
    trusted = {} if trust is None else _trusted(trust)
    java = [] if trust is None else _java_trust(trust)
    if mode == "proxy":
        proxy = addresses["forward"]
        trusted |= _proxied(f"http://{proxy}", environ)
        java += _java_proxy(proxy)
    elif "capture" not in addresses:
        raise LookupError(mode)
    options = " ".join(filter(None, [environ.get("JAVA_TOOL_OPTIONS"), *java]))
    return trusted | {"JAVA_TOOL_OPTIONS": options}


def _base_urls(base: str, environ: Mapping[str, str]) -> dict[str, str]:
    found = {
        "OPENAI_BASE_URL": f"{base}/v1",
        "ANTHROPIC_BASE_URL": base,
        "GOOGLE_GEMINI_BASE_URL": f"{base}/gemini",
    }
    azure = _AZURE.fullmatch(environ.get("AZURE_OPENAI_ENDPOINT", ""))
    if azure is not None:
        found["AZURE_OPENAI_ENDPOINT"] = f"{base}/azure/{azure[1]}"
    return found


def _trusted(trust: Trust) -> dict[str, str]:
    """All but Node's replace the system's roots, so that the bundle has these too."""
    return {
        "SSL_CERT_FILE": str(trust.bundle),
        "REQUESTS_CA_BUNDLE": str(trust.bundle),
        "CURL_CA_BUNDLE": str(trust.bundle),
        "NODE_EXTRA_CA_CERTS": str(trust.certificate),
    }


def _proxied(proxy: str, environ: Mapping[str, str]) -> dict[str, str]:
    """In both cases: some read only the one, curl takes HTTP_PROXY only in small letters."""
    past = ",".join(filter(None, [environ.get("NO_PROXY") or environ.get("no_proxy"), *_LOCAL]))
    values = {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "NO_PROXY": past}
    small = {name.lower(): value for name, value in values.items()}
    return values | small | {"NODE_USE_ENV_PROXY": "1"}  # Node 24 and later


def _java_trust(trust: Trust) -> list[str]:
    return [
        f"-Djavax.net.ssl.trustStore={trust.store}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
        f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
    ]


def _java_proxy(proxy: str) -> list[str]:
    place = urlsplit(f"//{proxy}")
    return [
        f"-D{scheme}.{key}={value}"
        for scheme in ("http", "https")
        for key, value in (("proxyHost", place.hostname), ("proxyPort", place.port))
    ]
