"""Rules for single texts of a configuration.

Each function takes a text and returns what is wrong with it, without quoting it, or None.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.http.keys import is_key
from sidecar.policy.cron import Cron

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2."""
_FIELD_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
"""RFC 9110, section 5.5, without the obsolete bytes over 0x7f, whose encoding nobody agrees on."""
_DIGEST: Final = re.compile("sha256:[0-9a-f]{64}")
_STATUS: Final = re.compile(r"[1-5](?:[0-9]{2}|xx)")
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
"""As in Kubernetes, but for the empty one. None has the `,` and `=` of `x-sidecar-labels`."""
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


def cron(text: str) -> str | None:
    """A cron expression."""
    try:
        Cron(text)
    except ValueError as error:
        return str(error)
    return None
