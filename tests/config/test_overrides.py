from __future__ import annotations

import pytest

from sidecar.config.load import ConfigErrors, load
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


def test_servers_can_be_turned_off_and_logs_change_their_form() -> None:
    config = Overrides(admin=None, health=None, log_format="text").over(load(TEXT, file="f")).config
    assert (config.admin.address, config.admin.health) == (None, None)
    assert config.access_log.format == "text"


LISTENERS = """[
  {mode: forward, address: 127.0.0.1:14002}, {path: /run/a.sock},
  {address: 127.0.0.1:14001, keep_alive: 3s}]"""


def test_the_listener_moves_and_is_otherwise_as_it_was() -> None:
    loaded = load(TEXT.replace("[{address: 127.0.0.1:14001}]", LISTENERS), file="f")
    forward, socket, moved = Overrides(listen="0.0.0.0:8080").over(loaded).config.listeners
    assert (forward.address, socket.path) == ("127.0.0.1:14002", "/run/a.sock")
    assert (moved.address, int(moved.keep_alive)) == ("0.0.0.0:8080", 3)


@pytest.mark.parametrize(
    ("listeners", "count"),
    [("[{path: /run/a.sock}]", "no"), ("[{address: 'a:1'}, {address: 'a:2'}]", "2")],
)
def test_which_listener_to_move_must_be_clear(listeners: str, count: str) -> None:
    loaded = load(TEXT.replace("[{address: 127.0.0.1:14001}]", listeners), file="f")
    with pytest.raises(ConfigErrors, match=f"there are {count} of mode `reverse`"):
        Overrides(listen="0.0.0.0:8080").over(loaded)


KEYS = "u: {credentials: {header: authorization, value: secret}, "
CALLERS = f"{{address: 127.0.0.1:14001, access: {{callers: {{a: ['sha256:{'0' * 64}']}}}}}}"


@pytest.mark.parametrize(
    ("text", "listen", "count"),
    [
        (TEXT, "0.0.0.0:8080", 0),
        (TEXT.replace("u: {", KEYS), "0.0.0.0:8080", 1),
        (TEXT.replace("u: {", KEYS), "host.example:8080", 1),
        (TEXT.replace("u: {", KEYS), "[::1]:8080", 0),
        (TEXT.replace("u: {", KEYS), "localhost:8080", 0),
        (TEXT.replace("u: {", KEYS).replace("{address: 127.0.0.1:14001}", CALLERS), "[::]:1", 0),
    ],
)
def test_a_move_that_opens_keys_to_others_is_warned_of(text: str, listen: str, count: int) -> None:
    loaded = load(text, file="f")
    warnings = Overrides(listen=listen).over(loaded).warnings[len(loaded.warnings) :]
    assert len(warnings) == count
    for warning in warnings:
        assert str(warning).startswith(f"--listen:1: who reaches {listen} calls with the cred")
        assert "secret" not in str(warning)
