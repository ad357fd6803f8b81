from __future__ import annotations

from sidecar.config.load import load
from sidecar.config.overrides import Overrides

TEXT = """\
listeners: [{address: 127.0.0.1:14001}]
upstreams: {u: {endpoints: [{url: http://localhost:1}]}}
routes: [{upstream: u}]
admin: {address: 127.0.0.1:1, health: 127.0.0.1:2}
log_level: warning
"""


def test_none_changes_nothing() -> None:
    loaded = load(TEXT, file="f")
    assert Overrides().over(loaded) == loaded


def test_each_wins_over_the_file() -> None:
    config = Overrides(health="[::]:3", log_level="debug").over(load(TEXT, file="f")).config
    assert config.admin.address == "127.0.0.1:1"
    assert config.admin.health == "[::]:3"
    assert config.log_level == "debug"
