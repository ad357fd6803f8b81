from __future__ import annotations

from sidecar.observe.hosts import MOST, PassedHosts


def test_hosts_are_counted_by_reason() -> None:
    hosts = PassedHosts()
    for host, decision in (
        ("a.test", "not_routed"),
        ("a.test", "not_routed"),
        ("a.test", "only_h2"),
    ):
        hosts.count(host, decision)
    assert hosts.shown() == {("a.test", "not_routed"): 2, ("a.test", "only_h2"): 1}


def test_a_client_that_invents_hosts_fills_no_memory_and_hides_no_busy_host() -> None:
    hosts = PassedHosts()
    for number in range(3 * MOST):
        hosts.count(f"{number}.test" * 100, "not_routed")
        hosts.count("busy.test", "not_routed")
    shown = hosts.shown()
    assert len(shown) == MOST
    assert shown["busy.test", "not_routed"] == 3 * MOST
    assert max(len(host) for host, _ in shown) == 253
