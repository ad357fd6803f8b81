"""Settings of the command line and the environment, which win over the configuration's."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from msgspec import UNSET, Struct, UnsetType, structs

from sidecar.config.check import addresses
from sidecar.config.load import ConfigErrors, Loaded
from sidecar.config.model import Config, Listener
from sidecar.config.problems import Located


class Overrides(Struct, frozen=True, kw_only=True):
    """At every reload. None, or UNSET where None means "no server": as the configuration has it."""

    listen: str | None = None
    """`HOST:PORT` of the only listener of mode `reverse` that has an address."""
    admin: str | UnsetType | None = UNSET
    health: str | UnsetType | None = UNSET
    log_level: str | None = None
    log_format: str | None = None

    def over(self, loaded: Loaded) -> Loaded:
        """Return *loaded* with these settings in it.

        Raise ConfigErrors where it has no such listener, or more than one.
        """
        config = loaded.config
        changes: dict[str, Any] = {}
        warnings = loaded.warnings
        admin = {"address": self.admin, "health": self.health}
        if wanted := {key: value for key, value in admin.items() if value is not UNSET}:
            changes["admin"] = structs.replace(config.admin, **wanted)
        if self.log_level is not None:
            changes["log_level"] = self.log_level
        if self.log_format is not None:
            changes["access_log"] = structs.replace(config.access_log, format=self.log_format)
        if self.listen is not None:
            changes["listeners"] = listeners = _moved(config.listeners, self.listen)
            warnings += tuple(_open_to_all(config, listeners, self.listen))
        config = structs.replace(config, **changes)
        return structs.replace(loaded, config=config, warnings=warnings)


def _moved(listeners: tuple[Listener, ...], address: str) -> tuple[Listener, ...]:
    """Give the one that is meant its new *address*; it keeps who may call, and how much."""
    found = [each for each in listeners if each.mode == "reverse" and each.address is not None]
    if len(found) != 1:
        count = len(found) or "no"
        message = f"can't tell which to move: there are {count} of mode `reverse` with an address"
        raise ConfigErrors([Located("--listen", 1, "listeners", message)])
    return tuple(
        structs.replace(each, address=address) if each is found[0] else each for each in listeners
    )


def _open_to_all(
    config: Config, listeners: tuple[Listener, ...], address: str
) -> Iterator[Located]:
    """Warn where the move lets other machines use keys that are kept here."""
    moved = next(each for each in listeners if each.address == address)
    names = [name for name, upstream in config.upstreams.items() if upstream.credentials]
    parsed = addresses.parse_address(address)
    host = parsed.host if parsed else ""
    if names and moved.access is None and not _is_loopback(host):
        what = f"who reaches {address} calls with the credentials of upstreams.{names[0]}"
        remedy = "listen on loopback, or say in `access` of the listener who may call"
        yield Located("--listen", 1, "", f"{what}: {remedy}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
