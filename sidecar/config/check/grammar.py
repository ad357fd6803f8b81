"""Rules for single texts of a configuration.

Each function takes a text and returns what is wrong with it, without quoting it, or None.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from msgspec import Struct

from sidecar.http.keys import is_key
from sidecar.http.paths import as_read, has_dot_segment
from sidecar.policy.cron import Cron

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2."""
_FIELD_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
"""RFC 9110, section 5.5, without the obsolete bytes over 0x7f, whose encoding nobody agrees on."""
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_DIGEST: Final = re.compile("sha256:[0-9a-f]{64}")
_CAPTURE: Final = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")
_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/{}-]|%[0-9A-Fa-f]{2})*")
"""RFC 3986, section 3.3, and the braces of captures."""
_URL: Final = re.compile(r"(https?)://([^/?#]*)([^?#]*)(.*)", re.DOTALL)
_STATUS: Final = re.compile(r"[1-5](?:[0-9]{2}|xx)")
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
"""As in Kubernetes, but for the empty one. None has the `,` and `=` of `x-sidecar-labels`."""
_PORT: Final = re.compile(r"[0-9]{1,5}")
# fmt: off
_FRAMING: Final = frozenset(
    {
        "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade",
    }
)
_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
)
# fmt: on
_MAX_PATTERN: Final = 256
_MAX_MESSAGE: Final = 2000
_MAX_SOCKET_PATH: Final = 107
"""Linux's sun_path holds 108 bytes, the last of them NUL."""


def header_name(text: str) -> str | None:
    """A field name (RFC 9110, section 5.1)."""
    return None if _TOKEN.fullmatch(text) else "expected a header name, as x-api-key"


def credential_header(text: str) -> str | None:
    """A field name that does not change how the message is framed or routed."""
    if text.lower() in _FRAMING:
        return "this header controls framing or routing and can't carry credentials"
    return header_name(text)


def shown_header(text: str) -> str | None:
    """A field name whose values may be shown to everybody."""
    if is_key(text.lower().encode("utf-8", "replace")):
        return "values of this header may be keys, and would be shown in metrics and logs"
    return header_name(text)


def caller_name(text: str) -> str | None:
    """Name of a header or of a cookie (RFC 6265, section 4.1.1: a token too)."""
    return None if _TOKEN.fullmatch(text) else "expected the name of a header or cookie, as x-user"


def status(text: str) -> str | None:
    """A status, or all of one class."""
    return None if _STATUS.fullmatch(text) else "expected a status, as 204 or 2xx"


def label_value(text: str) -> str | None:
    """The value of a label."""
    if _LABEL_VALUE.fullmatch(text):
        return None
    return "expected 1 to 63 letters, digits, _, . and -, a letter or digit at both ends"


def model(text: str) -> str | None:
    """The name of a model, as an upstream knows it."""
    if text and text.isprintable() and text == text.strip() and len(text) <= _MAX_PATTERN:
        return None
    return f"expected 1 to {_MAX_PATTERN} printable characters, no white space at an end"


def header_value(text: str) -> str | None:
    """A field value that no line break can split into two headers."""
    if not text or text != text.strip(" \t"):
        return "empty, or white space at an end (is the secret empty?)"
    if _FIELD_VALUE.fullmatch(text):
        return None
    if "\n" in text or "\r" in text:
        return "has a line break: the secret must be one line"
    if not text.isascii():
        return "has a character that is not ASCII, which no header value can have"
    return "has a control character, which no header value can have"


def pattern(text: str) -> str | None:
    """A glob."""
    if text and text.isprintable() and len(text) <= _MAX_PATTERN:
        return None
    return f"expected 1 to {_MAX_PATTERN} printable characters, `*` and `?` among them"


def message(text: str) -> str | None:
    """A whole message, or a glob for one."""
    if text.strip() and len(text) <= _MAX_MESSAGE:
        return None
    return f"expected 1 to {_MAX_MESSAGE} characters, not only white space"


def header_pattern(text: str) -> str | None:
    """A glob for a field value."""
    return pattern(text) or header_value(text)


def method(text: str) -> str | None:
    """A request method; they are case-sensitive (RFC 9110, section 9.1)."""
    if text not in _METHODS and text.upper() in _METHODS:
        return "expected a method in capitals, as POST"
    return None if _TOKEN.fullmatch(text) else "expected a method, as POST"


def socket_path(text: str) -> str | None:
    """The path of a Unix socket."""
    if not text or "\0" in text or len(text.encode("utf-8", "replace")) > _MAX_SOCKET_PATH:
        return f"expected a path of 1 to {_MAX_SOCKET_PATH} bytes"
    return None


def file_path(text: str) -> str | None:
    """The path of a file."""
    return None if text and "\0" not in text else "expected a path"


def positive(text: str) -> str | None:
    """A duration, size or share of more than zero. What is none of them is not looked at."""
    return "must be more than zero" if re.match(r"[0.]+[A-Za-z%]", text) else None


class Address(Struct, frozen=True):
    """`HOST:PORT`, with the host in its shortest spelling."""

    host: str
    port: int


def parse_address(text: str) -> Address | None:
    """Take apart `HOST:PORT` or `[IPV6]:PORT`; None for anything else. Port 0: any free one."""
    host, _, port = text.rpartition(":")
    if not _PORT.fullmatch(port) or int(port) > 65535:
        return None
    if host.startswith("["):
        return Address(str(IPv6Address(host[1:-1])), int(port)) if _is_v6(host) else None
    if not _is_host(host):
        return None
    return Address(host.lower(), int(port))


def address(text: str) -> str | None:
    """`HOST:PORT`."""
    return None if parse_address(text) else "expected HOST:PORT, as 127.0.0.1:14001 or [::1]:14001"


def loopback(text: str) -> str | None:
    """`HOST:PORT` that only this machine (or pod) can reach."""
    parsed = parse_address(text)
    if parsed is None or parsed.host == "localhost":
        return address(text)
    try:
        inside = ip_address(parsed.host).is_loopback
    except ValueError:
        inside = False
    return None if inside else "must be a loopback address, as 127.0.0.1:14010: it takes commands"


def server_name(text: str) -> str | None:
    """A name or address that a certificate can be for."""
    return None if _is_host(text) or _is_v6(f"[{text}]") else "expected a host name"


def network(text: str) -> str | None:
    """An address, or a network in CIDR notation whose host bits are zero."""
    wrong = "expected a network, as 10.0.0.0/8 or fd00::/8"
    try:
        ip_network(text)
    except ValueError:
        return wrong
    return wrong if "%" in text else None  # an interface's zone means nothing elsewhere


def network_or_host(text: str) -> str | None:
    """A network, a host, or `*.` before one."""
    if network(text) is None:
        return None
    if "/" in text or _CAPTURE.search(text) or host_pattern(text) is not None:
        return "expected a network or a host, as 10.0.0.0/8, db.local or *.internal"
    return None


def _is_v6(bracketed: str) -> bool:
    if bracketed[:1] != "[" or bracketed[-1:] != "]" or "%" in bracketed:
        return False
    try:
        return IPv6Address(bracketed[1:-1]) is not None
    except AddressValueError:
        return False


def _is_v4(text: str) -> bool:
    try:
        return IPv4Address(text) is not None
    except AddressValueError:
        return False


def _is_host(text: str) -> bool:
    """An IPv4 address or a name (RFC 1123, with the underscore that container names have)."""
    labels = text.removesuffix(".").split(".")
    if labels[-1].isdigit():  # "1.2.3" and "300.1.1.1" are no names either
        return _is_v4(text)
    return len(text) <= 253 and all(map(_LABEL.fullmatch, labels))


def captures(*texts: str | None) -> list[str]:
    """The names in braces, in order."""
    return [name for text in texts if text for name in _CAPTURE.findall(text)]


def _braces(parts: list[str]) -> str | None:
    """Captures are well-formed and at most one a part, so that what each one takes is plain."""
    for part in parts:
        if len(_CAPTURE.findall(part)) > 1:
            return "at most one {name} in a part"
        if re.search(r"[{}]", _CAPTURE.sub("", part)):
            return "expected a name of lower-case letters, digits and _ in braces, like {region}"
    return None


def host_pattern(text: str) -> str | None:
    """A host, `*.` before one, or one with `{name}` for a label or a part of one."""
    if text != text.lower():
        return "expected lower case"
    if _is_v6(text):
        return None
    if ":" in text:
        return "expected a host without scheme or port"
    rest = text.removeprefix("*.").removesuffix(".")
    wrong = _braces(rest.split("."))
    if wrong or (_is_host(_CAPTURE.sub("x", rest)) and not text.endswith(".")):
        return wrong
    return "expected a host, as api.openai.com, *.openai.azure.com or {name}.openai.azure.com"


def kind(text: str) -> str | None:
    """The kind of a value, which becomes part of a placeholder."""
    if not re.fullmatch(r"[A-Z](?:[A-Z_]{0,18}[A-Z])?", text):
        return "expected a name in capitals, as CUSTOMER_ID"
    return None


def member(text: str) -> str | None:
    """The name of a JSON member, with the names of those around it."""
    if not all(text.split(".")) or text.count(".") > 7:
        return "expected the name of a member, as user or metadata.id, at most 8 names deep"
    return None


def digest(text: str) -> str | None:
    """The digest of a key. A key that stands there by mistake is not shown."""
    return None if _DIGEST.fullmatch(text) else "expected sha256: and 64 hexadecimal digits"


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


def _plain_path(text: str) -> str | None:
    if not text.startswith("/"):
        return "must start with /"
    if not _PATH.fullmatch(text):
        return "expected a path, without query or fragment; %xx for other characters"
    if "//" in text or has_dot_segment(as_read(text)):
        return "must not have empty, . or .. segments"
    return None


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


def cron(text: str) -> str | None:
    """A cron expression."""
    try:
        Cron(text)
    except ValueError as error:
        return str(error)
    return None


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


def probe_path(text: str) -> str | None:
    """The path of a request of our own."""
    return "captures are for `url`, not for paths of checks" if "{" in text else _plain_path(text)


def _rest_of_url(path: str, rest: str) -> str | None:
    if rest:
        return "a URL of an endpoint has no query and no fragment"
    return (_plain_path(path) or _braces(path.split("/"))) if path else None


def _authority(text: str) -> str | None:
    if "@" in text:
        return "the URL must not have a user and password; use `credentials`"
    host, colon, port = text.rpartition(":") if re.search(r":[^\]]*\Z", text) else (text, "", "")
    if colon and not (_PORT.fullmatch(port) and 0 < int(port) < 65536):
        return "expected a port from 1 to 65535 after the host"
    if _is_v6(host):
        return None
    if wrong := _braces(host.split(".")):
        return wrong
    return None if _is_host(_CAPTURE.sub("x", host)) else "expected a host name after //"
