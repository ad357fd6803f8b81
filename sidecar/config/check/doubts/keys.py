"""Doubts about keys: written into the file, wrapped in something, or in a header of another API.

No message shows a key, nor how long it is.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from sidecar.config.check.doubts.whole import Whole, inner
from sidecar.config.model import Upstream
from sidecar.config.problems import Path, Problem

_SCHEME: Final = re.compile(r"(?i)(?:bearer|basic|token|apikey|key|negotiate|aws4-hmac-sha256) +")
_BEGINNINGS: Final = re.compile(
    r"(?:sk|pk|rk|xai|gsk|hf|nvapi|fw|csk|pplx|AIza|ya29|eyJ|gho|ghp)[-_.A-Z]"
)
"""How the keys of providers begin, and JWTs."""
_DENSE: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9+/_.=-]{20,}")
_STAND_IN: Final = re.compile(
    r"(?i)(?:change|replace)[-_ ]?me|\byour[-_ ]|<[^<>]*>|x{6}|\.{3}|\btodo\b|\binsert[-_ ]"
)
_OF_LITELLM: Final = "os.environ/"
_OPENAI: Final = "api.openai.com"
_OTHER_APIS: Final = ("x-api-key", "api-key", "x-goog-api-key")


def of_keys(whole: Whole) -> Iterator[Problem]:
    """Find what is doubtful about the keys of upstreams, of tracing and of the store."""
    for name, upstream in whole.config.upstreams.items():
        several = isinstance(upstream.credentials, tuple)
        for index, key in enumerate(upstream.keys()):
            path: Path = ("upstreams", name, "credentials", *((index,) if several else ()))
            written = _at(whole.written, (*path, "value"))
            yield from _key((*path, "value"), key.header, key.value, written)
            yield from _header((*path, "header"), key.header, upstream)
    for header, value in whole.config.tracing.headers.items():
        path = ("tracing", "headers", header)
        yield from _key(path, header, value, _at(whole.written, path))
    for setting in ("password", "secret"):
        secret = inner(whole.written, "store", "redis", setting)
        if isinstance(secret, str) and "${" not in secret:
            told = _in_the_file(f"/etc/llm-sidecar/redis-{setting}")
            yield Problem(("store", "redis", setting), told)


def _at(written: Any, path: Path) -> str:
    for step in path:
        written = written[step]
    return str(written)


def _key(path: Path, header: str, value: str, written: str) -> Iterator[Problem]:
    """Find a key that is not what the API is to get."""
    scheme = _SCHEME.match(value)
    bare = value[scheme.end() :] if scheme else value
    if written.startswith(_OF_LITELLM):
        yield Problem(path, "is not replaced here, as in LiteLLM: write ${env:NAME}")
    elif len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
        yield Problem(
            path, "has quotes around the key, which are sent: take them out of the secret"
        )
    elif scheme and _SCHEME.match(bare):
        yield Problem(path, "has two schemes, as in `Bearer Bearer ...`: take one of them out")
    elif header.lower() == "authorization" and " " not in value:
        yield Problem(path, 'has no scheme: write "Bearer ${file:...}"')
    elif _STAND_IN.search(bare):
        yield Problem(path, "stands for a key, and is none: name its file, ${file:...}")
    elif _encoded(bare):
        yield Problem(
            path,
            "the key is in base64 still: a Secret's `data` wants it encoded once, `stringData` "
            "not at all",
        )
    elif "${" not in written and (_BEGINNINGS.match(bare) or _DENSE.fullmatch(bare)):
        yield Problem(path, _in_the_file("/etc/llm-sidecar/key"))


def _in_the_file(place: str) -> str:
    return (
        "the secret stands in this file, which all who may read the configuration read; put it "
        f"into a file of its own: ${{file:{place}}}"
    )


def _encoded(bare: str) -> bool:
    """Whether *bare* is a provider's key in base64."""
    try:
        text = base64.b64decode(bare, validate=True).decode("ascii")
    except ValueError:
        return False
    return _BEGINNINGS.match(text) is not None and text.strip().isprintable()


def _header(path: Path, header: str, upstream: Upstream) -> Iterator[Problem]:
    hosts = [urlsplit(url).hostname for url in upstream.urls]
    if _OPENAI in hosts and header.lower() in _OTHER_APIS:
        wrong = f'{_OPENAI} takes keys in `authorization`, with the value "Bearer ${{file:...}}"'
        yield Problem(path, wrong)
