"""What a configuration lets listeners intercept and pass on, worked out once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.listen.intercept.hosts import RoutedHosts
from sidecar.listen.intercept.original_destination import is_here
from sidecar.listen.listener import split_address
from sidecar.policy.reach import Networks, Reach

if TYPE_CHECKING:
    from sidecar.config.model import Config
    from sidecar.listen.intercept.original_destination import Destination


class Rules:
    """The rules of one configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        settings = config.intercept
        self.hosts = RoutedHosts(config.routes)
        self.clients = Networks(settings.clients)
        self.reach = Reach(settings.allow)
        self.ca = settings.ca
        self.sniff = float(settings.sniff)
        self.remember = float(settings.remember)
        addresses = [listener.address for listener in config.listeners]
        addresses += [config.admin.address, config.admin.health]
        self._ports = {split_address(each)[1] for each in addresses if each is not None}

    def is_ourselves(self, target: Destination, port: int) -> bool:
        """Whether a connection to *target*, an address, would arrive here.

        *port* is that of a listener whose port the configuration leaves open.
        """
        return (target.port in self._ports or target.port == port) and is_here(target.host)
