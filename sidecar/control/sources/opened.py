"""The source that an argument of `--config` names: a file, or a URL of a centre."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from sidecar.control.sources.file import FileSource

if TYPE_CHECKING:
    from sidecar.control.sources.base import Source
    from sidecar.control.sources.centre import Centre
    from sidecar.control.sources.kept import Kept
    from sidecar.control.sources.web import Server, Web

PORTS: Final[Mapping[str, int]] = {
    "etcd": 2379, "consul": 8500, "nacos": 8848, "apollo": 8080, "https": 443, "http": 80,
    "k8s": 443,
}  # fmt: skip
"""By scheme: the usual port."""
_PLACES: Final = {
    "nacos": "nacos://HOST/NAMESPACE/GROUP/DATA-ID (the usual namespace is public)",
    "apollo": "apollo://HOST/APP/CLUSTER/NAMESPACE (as sidecar.yaml)",
    "k8s": "k8s://NAMESPACE/CONFIGMAP/KEY",
}
_COMMON: Final = frozenset({"tls", "ca", "cert", "key", "user", "password_file", "token_file"})
_MORE: Final = {"https": {"every"}, "http": {"every"}, "consul": {"dc"}, "k8s": {"server"}}
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_EVERY: Final = 5.0


class BadSource(ValueError):
    """A URL that names no source. The message says what is wrong."""


def is_url(text: str) -> bool:
    """Whether *text* is a URL, not a path."""
    return "://" in text


def source_of(text: str) -> Source:
    """Return the source that *text* names. Raise BadSource, or OSError for files that it names."""
    if not is_url(text):
        return FileSource(Path(text), _kept_by_wish(text))
    # Late: where the configuration is a file, none of this is loaded.
    from sidecar.control.sources.centre import CentreSource
    from sidecar.control.sources.kept import Kept, default_folder

    centre = _centre(text)
    return CentreSource(centre, Kept(centre.name, default_folder()))


def _kept_by_wish(path: str) -> Kept | None:
    """Keep a file's last good text only where there is a folder for it: it may have keys."""
    folder = os.environ.get("SIDECAR_STATE")
    if not folder:
        return None
    from sidecar.control.sources.kept import Kept

    return Kept(os.path.abspath(path), Path(folder))


def read_once(text: str) -> tuple[str, str]:
    """Return what the source *text* has now, and its name. Raise BadSource or OSError."""
    if not is_url(text):
        return Path(text).read_text(encoding="utf-8", errors="replace"), text
    from sidecar.control.sources.centre import asked

    centre = _centre(text)
    return asked(centre.read, centre.name).text, centre.name


def _centre(text: str) -> Centre:
    url = urlsplit(text)
    if url.scheme not in PORTS:
        known = ", ".join(f"{scheme}://" for scheme in PORTS)
        raise BadSource(f"{url.scheme}:// is no source; expected a path, or one of {known}")
    settings = _settings(url)
    name = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
    if url.password is not None:
        raise BadSource(
            "a password in a URL can be seen by all users of this machine; put it into a file and "
            "name that with ?password_file="
        )
    if url.scheme == "k8s":
        return _config_map(name, url, settings)
    if url.scheme == "http" and not _is_local(url.hostname or ""):
        raise BadSource("anyone on the way could change what http:// brings: use https://")
    web = _web(url, settings)
    path = unquote(url.path[1:])
    if url.scheme in ("https", "http"):
        from sidecar.control.sources.page import Page

        token = _secret(settings, "token_file")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        every = float(settings.get("every", _EVERY))
        return Page(name, web, url.path or "/", headers, every)
    if url.scheme == "etcd":
        from sidecar.control.sources.etcd import Etcd

        return Etcd(name, web, _needed(path, name), _login(url, settings))
    if url.scheme == "consul":
        from sidecar.control.sources.consul import Consul

        token = _secret(settings, "token_file")
        return Consul(name, web, _needed(path, name), token, settings.get("dc", ""))
    place = _three(url.scheme, url.path[1:])
    if url.scheme == "nacos":
        from sidecar.control.sources.nacos import Nacos

        tenant = "" if place[0] == "public" else place[0]
        return Nacos(name, web, (tenant, *place[1:]), _login(url, settings))
    from sidecar.control.sources.apollo import Apollo

    return Apollo(name, web, place, _secret(settings, "token_file"))


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _settings(url: SplitResult) -> dict[str, str]:
    settings = dict(parse_qsl(url.query, keep_blank_values=True))
    known = _COMMON | _MORE.get(url.scheme, set())
    for name in settings:
        if name not in known:
            raise BadSource(f"?{name}= is unknown; expected one of {', '.join(sorted(known))}")
    return settings


def _config_map(name: str, url: SplitResult, settings: dict[str, str]) -> Centre:
    from sidecar.control.sources.kubernetes import ConfigMap
    from sidecar.control.sources.web import Server, Web

    place = _three("k8s", f"{url.netloc}{url.path}")
    server = urlsplit(settings.get("server") or _api_server())
    if not server.hostname:
        raise BadSource("?server= must be a URL, as https://127.0.0.1:6443")
    ca = settings.get("ca") or str(_SERVICE_ACCOUNT / "ca.crt")
    tls = None if server.scheme == "http" else _tls({**settings, "ca": ca})
    file = Path(settings.get("token_file") or _SERVICE_ACCOUNT / "token")

    def token() -> str:
        return file.read_text(encoding="utf-8").strip()

    reads: Callable[[], str] = (lambda: "") if "cert" in settings else token
    web = Web([Server(server.hostname, server.port or 443, tls)])
    return ConfigMap(name, web, place, reads)


def _api_server() -> str:
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if not host:
        raise BadSource("k8s:// works within a pod; elsewhere, name the API server with ?server=")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _web(url: SplitResult, settings: dict[str, str]) -> Web:
    from sidecar.control.sources.web import Web

    secure = url.scheme == "https" or settings.get("tls", "off") == "on"
    if settings.get("tls", "off") not in ("on", "off"):
        raise BadSource("?tls= must be on or off")
    if "key" in settings and "cert" not in settings:
        raise BadSource("?key= needs ?cert=, the certificate that it belongs to")
    if not secure and settings.keys() & {"ca", "cert", "key"}:
        raise BadSource("?ca=, ?cert= and ?key= need ?tls=on")
    tls = _tls(settings) if secure else None
    hosts = url.netloc.rpartition("@")[2]
    return Web([_server(host, url.scheme, tls) for host in hosts.split(",")])


def _server(host: str, scheme: str, tls: ssl.SSLContext | None) -> Server:
    from sidecar.control.sources.web import Server

    try:
        split = urlsplit(f"//{host}")
        name, port = split.hostname, split.port
    except ValueError:
        name = port = None
    if not name:
        raise BadSource(f"expected a host after {scheme}://")
    return Server(name, port or PORTS[scheme], tls)


def _tls(settings: Mapping[str, str]) -> ssl.SSLContext:
    """Make a context. Raise OSError, which names the setting, for files that can't be used."""
    from sidecar.upstream.connect import pem

    ca, cert, key = settings.get("ca"), settings.get("cert"), settings.get("key")
    for name in ("ca", "cert", "key"):
        if name in settings:
            _read(settings[name], name)
    wrong = pem.wrong_roots(ca) if ca else None
    wrong = wrong or (pem.wrong_pair(cert, key) if cert else None)
    if wrong is not None:
        raise OSError(0, f"?{wrong.key}={settings[wrong.key]} {wrong.message}")
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert is not None:
        context.load_cert_chain(cert, key)
    return context


def _login(url: SplitResult, settings: dict[str, str]) -> tuple[str, str] | None:
    user = url.username or settings.get("user")
    return None if user is None else (unquote(user), _secret(settings, "password_file"))


def _secret(settings: Mapping[str, str], name: str) -> str:
    """The text of the file that a setting names; empty if there is no such setting.

    Raise OSError, which names the setting, for one that can't be read, or has nothing in it.
    """
    file = settings.get(name)
    if not file:
        return ""
    text = _read(file, name).strip()
    if not text:
        raise OSError(0, f"?{name}={file} is empty")
    return text


def _read(file: str, name: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OSError(error.errno, f"?{name}={file}: {error.strerror}") from None
    except UnicodeDecodeError:  # it would quote what is in the file
        raise OSError(0, f"?{name}={file} is not UTF-8 text") from None


def _three(scheme: str, path: str) -> tuple[str, str, str]:
    parts = tuple(map(unquote, path.split("/")))
    if len(parts) != 3 or not all(parts):
        raise BadSource(f"expected {_PLACES[scheme]}")
    return parts[0], parts[1], parts[2]


def _needed(path: str, name: str) -> str:
    if not path:
        raise BadSource(f"{name}: expected a key, as {name.rstrip('/')}/sidecar.yaml")
    return path
