from __future__ import annotations

import pytest

from sidecar import environment


def test_empty_is_not_set() -> None:
    assert environment.value({"SIDECAR_LISTEN": " "}, "SIDECAR_LISTEN") is None
    assert environment.value({"SIDECAR_LISTEN": " a:1\n"}, "SIDECAR_LISTEN") == "a:1"


@pytest.mark.parametrize("name", environment.VARIABLES)
def test_known_variables_are_known(name: str) -> None:
    assert list(environment.unknown({name: "x", "PATH": "/bin"})) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SIDECAR_LISTENER", "SIDECAR_LISTEN"),
        ("SIDECAR_CONFIGURATION", "SIDECAR_CONFIG"),
        ("SIDECAR_LOGLEVEL", "SIDECAR_LOG_LEVEL"),
        ("SIDECAR_HEALTH_PORT", "SIDECAR_HEALTH"),
        ("SIDECAR_PORT", None),
        ("SIDECAR_DRAIN", None),
    ],
)
def test_others_are_told_with_what_is_meant(name: str, meant: str | None) -> None:
    assert list(environment.unknown({name: "8080"})) == [(name, meant)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIDECAR_SERVICE_HOST", "10.0.0.1"),
        ("SIDECAR_SERVICE_PORT", "80"),
        ("SIDECAR_SERVICE_PORT_HTTP_ADMIN", "80"),
        ("SIDECAR_PORT", "tcp://10.0.0.1:80"),
        ("SIDECAR_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("SIDECAR_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("SIDECAR_PORT_80_TCP_PORT", "80"),
        ("SIDECAR_PORT_80_TCP_PROTO", "tcp"),
        ("SIDECAR_HEALTH_PORT", "tcp://10.0.0.1:80"),
        ("SIDECAR_HEALTH_SERVICE_HOST", "10.0.0.1"),
    ],
)
def test_what_kubernetes_sets_for_a_service_is_nobodys_mistake(name: str, value: str) -> None:
    assert list(environment.unknown({name: value})) == []


def test_no_service_sets_a_variable_of_ours() -> None:
    ends = ("_PORT", "_SERVICE_HOST", "_TCP", "_ADDR", "_PROTO")
    assert [name for name in environment.VARIABLES if name.endswith(ends)] == []


@pytest.mark.parametrize(
    ("environ", "admin", "port"),
    [
        ({}, "127.0.0.1:14010", 14010),
        ({"SIDECAR_ADMIN": "[::1]:9"}, "[::1]:9", 9),
        ({"SIDECAR_ADMIN": "off", "SIDECAR_HEALTH": "0.0.0.0:7"}, "127.0.0.1:14010", 7),
        ({"SIDECAR_ADMIN": "off", "SIDECAR_HEALTH": "7"}, "127.0.0.1:14010", 7),
        ({"SIDECAR_ADMIN": "127.0.0.1:9", "SIDECAR_HEALTH": "7"}, "127.0.0.1:9", 9),
    ],
)
def test_commands_find_a_sidecar_that_the_environment_moved(
    environ: dict[str, str], admin: str, port: int
) -> None:
    assert environment.admin(environ) == admin
    assert environment.ready_port(environ) == port


def test_a_sidecar_of_ones_own_listens_where_it_is_told() -> None:
    environ = dict.fromkeys(environment.VARIABLES, "x") | {"HOME": "/"}
    kept = {"SIDECAR_STATE": "x", "SIDECAR_LOG_LEVEL": "x", "HOME": "/"}
    assert environment.without(environ) == kept
