"""Who may use the admin API: programs on this machine, and its own page in a browser."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Final
from urllib.parse import urlsplit

from sidecar.control.answers import Answer, Request, refusal

TOKEN_HEADER: Final = "x-sidecar-token"  # noqa: S105 - a name
_BY_BROWSERS: Final = ("origin", "sec-fetch-site")
"""Headers that browsers send with a POST, and that no script can leave out or invent. (Node's fetch
sends `sec-fetch-mode`, so that shows no browser.)"""


def new_token() -> str:
    """Return what the page must show with each change."""
    return secrets.token_urlsafe(24)


def refuse_strangers(request: Request, token: str) -> Answer | None:
    """Refuse what a web page elsewhere made a browser on this machine send.

    A name that an attacker points at 127.0.0.1 (DNS rebinding) shows in Host; a form or fetch from
    another site shows in Origin and Sec-Fetch-Site. A browser must also show the *token*, which
    only our own page can read: a header of one's own is refused to other sites without asking us.
    Programs other than browsers send none of these.
    """
    host = request.headers.get("host", "")
    if not _is_loopback(host):
        return refusal(403, "forbidden_host", "Host must be localhost or a loopback address")
    if request.method in ("GET", "HEAD"):
        return None if _is_visit(request) else refuse_other_sites(request)
    return _refuse_change(request, token)


def refuse_other_sites(request: Request) -> Answer | None:
    """Refuse what another site's page asks for, even if it changes nothing and it can't read it.

    Answers take time, and streams take places. (Older browsers tell of the site in Origin only.)
    """
    if _is_from_elsewhere(request):
        return refusal(403, "cross_site", "requests from another site get nothing here")
    return None


def _is_from_elsewhere(request: Request) -> bool:
    headers = request.headers
    ours = f"http://{headers.get('host', '')}"
    return (
        headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        or headers.get("origin", ours) != ours
    )


def _is_visit(request: Request) -> bool:
    """Whether somebody follows a link to us, from wherever (W3C, Fetch Metadata, section 2)."""
    headers = request.headers
    return (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def _refuse_change(request: Request, token: str) -> Answer | None:
    headers = request.headers
    if _is_from_elsewhere(request):
        return refusal(403, "cross_site", "requests from another site may not change anything")
    if not any(name in headers for name in _BY_BROWSERS):
        return None
    if not secrets.compare_digest(headers.get(TOKEN_HEADER, "").encode(), token.encode()):
        return refusal(403, "no_token", f"a browser needs the page's token in {TOKEN_HEADER}")
    return None


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
