"""Rules for paths, URLs and hosts with placeholders in a configuration.

Each rule takes a text and returns what is wrong with it, without quoting it, or None.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.config.check.addresses import PORT, is_host, is_v6, network
from sidecar.http.paths import as_read, has_dot_segment

_CAPTURE: Final = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")
_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/{}-]|%[0-9A-Fa-f]{2})*")
"""RFC 3986, section 3.3, and the braces of captures."""
_URL: Final = re.compile(r"(https?)://([^/?#]*)([^?#]*)(.*)", re.DOTALL)


def captures(*texts: str | None) -> list[str]:
    """The names in braces, in order."""
    return [name for text in texts if text for name in _CAPTURE.findall(text)]


def host_pattern(text: str) -> str | None:
    """A host, `*.` before one, or one with `{name}` for a label or a part of one."""
    if text != text.lower():
        return "expected lower case"
    if is_v6(text):
        return None
    if ":" in text:
        return "expected a host without scheme or port"
    rest = text.removeprefix("*.").removesuffix(".")
    wrong = _braces(rest.split("."))
    if wrong or (is_host(_CAPTURE.sub("x", rest)) and not text.endswith(".")):
        return wrong
    return "expected a host, as api.openai.com, *.openai.azure.com or {name}.openai.azure.com"


def network_or_host(text: str) -> str | None:
    """A network, a host, or `*.` before one."""
    if network(text) is None:
        return None
    if "/" in text or _CAPTURE.search(text) or host_pattern(text) is not None:
        return "expected a network or a host, as 10.0.0.0/8, db.local or *.internal"
    return None


def path_prefix(text: str) -> str | None:
    """A path; `{name}` stands for a whole segment."""
    segments = text.split("/")
    if wrong := _plain_path(text) or _braces(segments):
        return wrong
    if any("{" in part and not _CAPTURE.fullmatch(part) for part in segments):
        return "{name} must be a whole segment, as /azure/{resource}/"
    return None


def rewrite(text: str) -> str | None:
    """A path that replaces a prefix."""
    return "captures are for `url`, not for `rewrite`" if "{" in text else _plain_path(text)


def upstream_path(text: str) -> str | None:
    """The path of a request of our own, in which braces stand for something."""
    return _plain_path(text)


def probe_path(text: str) -> str | None:
    """The path of a request of our own."""
    return "captures are for `url`, not for paths of checks" if "{" in text else _plain_path(text)


def url(text: str) -> str | None:
    """The base URL of an endpoint."""
    match = _URL.fullmatch(text)
    if match is None:
        return "expected a URL, as https://api.openai.com or http://glm-0:8000"
    return _authority(match[2]) or _rest_of_url(match[3], match[4])


def dns_url(text: str) -> str | None:
    """A base URL whose host is looked up."""
    return "captures are for `url`, not for `dns`" if "{" in text else url(text)


def collector_url(text: str) -> str | None:
    """The URL of a collector of spans."""
    if "{" in text:
        return "a collector's URL has no placeholders"
    if "@" in text:
        return "the URL must not have a user and password; use `headers`"
    return url(text)


def exporter_url(text: str) -> str | None:
    """A URL in which `{host}` may stand for an endpoint's host."""
    plain = text.replace("{host}", "x")
    return "{host} is the only placeholder here" if "{" in plain else url(plain)


def redis_url(text: str) -> str | None:
    """Where a Redis is: a server and a database, or a socket."""
    if text.startswith("unix:///"):
        return None
    match = re.fullmatch(r"rediss?://([^/?#]+)(/[0-9]{0,5})?", text)
    if match is None:
        return "expected redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH"
    if "@" in match[1]:
        return "the URL must not have a user and password; use `username` and `password`"
    return _authority(match[1]) or ("captures are for endpoints" if "{" in match[1] else None)


def _braces(parts: list[str]) -> str | None:
    """Captures are well-formed and at most one a part, so that what each one takes is plain."""
    for part in parts:
        if len(_CAPTURE.findall(part)) > 1:
            return "at most one {name} in a part"
        if re.search(r"[{}]", _CAPTURE.sub("", part)):
            return "expected a name of lower-case letters, digits and _ in braces, like {region}"
    return None


def _plain_path(text: str) -> str | None:
    if not text.startswith("/"):
        return "must start with /"
    if not _PATH.fullmatch(text):
        return "expected a path, without query or fragment; %xx for other characters"
    if "//" in text or has_dot_segment(as_read(text)):
        return "must not have empty, . or .. segments"
    return None


def _rest_of_url(path: str, rest: str) -> str | None:
    if rest:
        return "a URL of an endpoint has no query and no fragment"
    return (_plain_path(path) or _braces(path.split("/"))) if path else None


def _authority(text: str) -> str | None:
    if "@" in text:
        return "the URL must not have a user and password; use `credentials`"
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port:  # the last colon is one of an address
        host, colon, port = text, "", ""
    if colon and not (PORT.fullmatch(port) and 0 < int(port) < 65536):
        return "expected a port from 1 to 65535 after the host"
    if is_v6(host):
        return None
    if wrong := _braces(host.split(".")):
        return wrong
    return None if is_host(_CAPTURE.sub("x", host)) else "expected a host name after //"
