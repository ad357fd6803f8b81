"""Endpoints across configurations: what is kept, what is made, what goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from sidecar.config.load import load
from sidecar.config.model import Pool as PoolConfig
from sidecar.config.model import Upstream as UpstreamConfig
from sidecar.errors import AttemptError
from sidecar.observe.stats import Stats, UpstreamStats
from sidecar.policy.balance import BalanceSettings
from sidecar.policy.ejection import EjectionSettings
from sidecar.upstream.endpoints.endpoint import Endpoint
from sidecar.upstream.endpoints.registry import Registry
from sidecar.upstream.endpoints.sources import DnsSource
from sidecar.upstream.endpoints.upstream import Upstream
from sidecar.upstream.load_balancer import LoadBalancer, Selection
from tests.upstream.names import Names, turns

SELECTION = Selection(
    "default", None, EjectionSettings(None, True), BalanceSettings("round_robin"), {}, False
)


def configs(**upstreams: Any) -> dict[str, UpstreamConfig]:
    """As a file has them; the routes capture `name`."""
    whole = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "upstreams": upstreams,
        "routes": [
            {"upstream": name, "match": {"path": f"/{name}/{{name}}"}} for name in upstreams
        ],
    }
    return load(json.dumps(whole), file="x.yaml").config.upstreams


def urls(*urls: str, **more: Any) -> dict[str, Any]:
    return {"endpoints": [{"url": url} for url in urls], **more}


class Serving:
    """A registry, and what serves."""

    def __init__(self) -> None:
        self.stats = Stats(0.0)
        self.registry = Registry(self.stats)
        self.rotations: dict[Upstream, LoadBalancer] = {}

    def serve(self, **upstreams: Any) -> Upstream:
        """The first of *upstreams*, which serve from now on."""
        wanted = configs(**upstreams)
        binding = self.registry.bind(wanted, self.registry.secure(wanted))
        self.registry.commit(binding)
        return next(iter(binding.upstreams.values()))

    def pick(self, upstream: Upstream, **captured: str) -> Endpoint:
        """The next of its endpoints in turn."""
        if upstream not in self.rotations:
            self.rotations[upstream] = LoadBalancer(upstream, SELECTION, UpstreamStats())
        held = self.rotations[upstream].pick(captured=captured)
        held.release()
        return held.endpoint

    @property
    def counted(self) -> set[str]:
        return {name for _, name in self.stats.endpoints}


async def test_an_endpoint_stays_while_its_key_does() -> None:
    serving = Serving()
    before = serving.serve(u=urls("http://a", "http://b"))
    after = serving.serve(u=urls("http://b", "http://c"))
    assert before.endpoints()[1] is after.endpoints()[0]
    assert not after.endpoints()[0].pool.retired
    assert before.endpoints()[0].pool.retired
    assert serving.counted == {"http://b", "http://c"}


async def test_the_same_url_in_two_upstreams_is_two_endpoints() -> None:
    serving = Serving()
    first = serving.serve(u=urls("http://a"), v=urls("http://a"))
    assert len(serving.stats.endpoints) == 2
    serving.serve(v=urls("http://a"))
    assert first.endpoints()[0].pool.retired
    assert list(serving.stats.endpoints) == [("v", "http://a")]


async def test_a_new_pool_size_reaches_endpoints_that_stay() -> None:
    serving = Serving()
    endpoint = serving.serve(u=urls("http://a")).endpoints()[0]
    serving.serve(u=urls("http://a", pool={"max_open": 3}))
    assert endpoint.pool.config.max_open == 3


async def test_what_does_not_serve_leaves_no_trace() -> None:
    serving = Serving()
    endpoint = serving.serve(u=urls("http://a")).endpoints()[0]
    wanted = configs(u=urls("http://b", pool={"max_open": 3}))
    serving.registry.bind(wanted, serving.registry.secure(wanted))
    serving.registry.forget()
    assert serving.counted == {"http://a"}
    assert endpoint.pool.config == PoolConfig()
    assert not endpoint.pool.retired


async def test_a_call_that_began_before_keeps_to_its_endpoints() -> None:
    serving = Serving()
    before = serving.serve(u=urls("http://a", "http://b"))
    after = serving.serve(u=urls("http://b", "http://c"))
    assert {serving.pick(before).name for _ in range(4)} == {"http://a", "http://b"}
    assert {serving.pick(after).name for _ in range(4)} == {"http://b", "http://c"}


# -- TLS --


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


async def test_one_context_serves_all_of_the_same_tls(ca: Path) -> None:
    tls = {"tls": {"ca": str(ca)}}
    serving = Serving()
    upstream = serving.serve(u=urls("https://a", "https://b", **tls), v=urls("https://c", **tls))
    serving.serve(u=urls("https://a", "https://b", **tls))
    assert len(serving.registry._contexts) == 1
    assert len({endpoint.dial._context for endpoint in upstream.endpoints()}) == 1


async def test_new_certificates_make_new_endpoints(ca: Path) -> None:
    serving = Serving()
    old = serving.serve(u=urls("https://a", tls={"ca": str(ca)})).endpoints()[0]
    trustme.CA().cert_pem.write_to_path(ca)
    new = serving.serve(u=urls("https://a", tls={"ca": str(ca)})).endpoints()[0]
    assert new is not old
    assert old.pool.retired
    assert serving.stats.endpoints == {("u", "https://a"): new.stats}  # its counts go on
    assert len(serving.registry._contexts) == 1


@pytest.mark.parametrize("content", ["", "no certificate"])
async def test_a_bad_file_changes_nothing(tmp_path: Path, content: str) -> None:
    serving = Serving()
    endpoint = serving.serve(u=urls("http://a")).endpoints()[0]
    path = tmp_path / "ca.pem"
    path.write_text(content)
    with pytest.raises(OSError, match=rf"upstreams\.u\.tls: .+ \({path}\)"):
        serving.registry.secure(configs(u=urls("https://b", tls={"ca": str(path)})))
    serving.registry.forget()
    assert serving.counted == {"http://a"}
    assert not endpoint.pool.retired


# -- templates --


async def test_a_template_has_an_endpoint_for_each_value() -> None:
    serving = Serving()
    upstream = serving.serve(u=urls("http://{name}.example.com/base"))
    east, west = serving.pick(upstream, name="east"), serving.pick(upstream, name="west")
    assert (east.origin.host, east.origin.base) == ("east.example.com", b"/base")
    assert west.origin.authority == b"west.example.com"
    assert serving.pick(upstream, name="east") is east
    assert serving.counted == {"http://east.example.com/base", "http://west.example.com/base"}
    assert (
        serving.pick(serving.serve(u=urls("http://{name}.example.com/base")), name="east") is east
    )


async def test_a_template_keeps_the_latest_only() -> None:
    serving = Serving()
    upstream = serving.serve(u=urls("http://{name}.example.com"))
    kept, dropped = serving.pick(upstream, name="kept"), serving.pick(upstream, name="dropped")
    for number in range(255):
        serving.pick(upstream, name=f"n{number}")
        serving.pick(upstream, name="kept")
    assert dropped.pool.retired
    assert not kept.pool.retired
    assert len(upstream.endpoints()) == len(serving.counted) == 256


async def test_a_template_that_goes() -> None:
    serving = Serving()
    upstream = serving.serve(u=urls("http://{name}.example.com"))
    old = serving.pick(upstream, name="old")
    serving.serve(v=urls("http://a"))
    assert old.pool.retired
    late = serving.pick(upstream, name="late")  # for a call that began before
    assert late.pool.retired
    assert serving.counted == {"http://a"}


# -- names with an endpoint for each address --

DNS = {"endpoints": [{"dns": "http://glm.example:8000/v1"}]}


async def test_every_address_is_an_endpoint() -> None:
    names = Names(**{"glm.example": ["10.0.0.2", "10.0.0.1"]})
    serving = Serving()
    upstream = serving.serve(u=DNS)
    await upstream.resolve()
    endpoint = upstream.endpoints()[0]
    assert (endpoint.origin.host, endpoint.origin.port) == ("10.0.0.1", 8000)
    assert (endpoint.origin.authority, endpoint.origin.base) == (b"glm.example:8000", b"/v1")
    assert endpoint.name == "http://glm.example:8000/v1@10.0.0.1"
    picked = {serving.pick(upstream).origin.host for _ in range(2)}
    assert picked == {"10.0.0.1", "10.0.0.2"}
    assert names.asked == 1


async def test_addresses_come_and_go() -> None:
    names = Names(**{"glm.example": ["10.0.0.1", "10.0.0.2"]})
    serving = Serving()
    upstream = serving.serve(u=DNS | {"dns_refresh": "1ms"})
    await upstream.resolve()
    one, two = upstream.endpoints()
    names.answers["glm.example"] = ["10.0.0.2", "10.0.0.3"]
    await names.asks_again()
    assert [endpoint.origin.host for endpoint in upstream.endpoints()] == ["10.0.0.2", "10.0.0.3"]
    assert upstream.endpoints()[0] is two
    assert one.pool.retired
    assert len(serving.counted) == 2


async def test_addresses_stay_across_a_reload() -> None:
    Names(**{"glm.example": ["10.0.0.1"]})
    serving = Serving()
    before = serving.serve(u=DNS)
    await before.resolve()
    after = serving.serve(u=DNS | {"pool": {"max_open": 3}})
    assert after.endpoints() == before.endpoints()
    assert after.endpoints()[0].pool.config.max_open == 3


async def test_a_name_that_is_not_known() -> None:
    Names()
    serving = Serving()
    upstream = serving.serve(u=DNS)
    with pytest.raises(AttemptError) as unresolved:
        await upstream.resolve()
    assert unresolved.value.code == "no_endpoint"
    with pytest.raises(AttemptError) as caught:
        serving.pick(upstream)
    assert caught.value.code == "no_endpoint"


async def test_a_name_that_is_not_known_beside_others() -> None:
    Names()
    serving = Serving()
    upstream = serving.serve(u={"endpoints": [*DNS["endpoints"], {"url": "http://a"}]})
    await upstream.resolve()
    assert serving.pick(upstream).name == "http://a"


async def test_a_name_that_goes_is_not_asked_for_again() -> None:
    names = Names(**{"glm.example": ["10.0.0.1"]})
    serving = Serving()
    upstream = serving.serve(u=DNS | {"dns_refresh": "1ms"})
    await upstream.resolve()
    names.gate.clear()
    await names.asks_again()
    serving.serve(v=urls("http://a"))  # in the middle of a question
    names.answers["glm.example"] = ["10.0.0.2"]
    names.gate.set()
    await turns()
    assert all(endpoint.pool.retired for endpoint in upstream.endpoints())
    assert cast("DnsSource", upstream.sources[0]).resolved._timer is None
    assert serving.counted == {"http://a"}


async def test_a_call_that_began_before_a_name_went_is_served() -> None:
    Names(**{"glm.example": ["10.0.0.1"]})
    serving = Serving()
    upstream = serving.serve(u=DNS)
    await upstream.resolve()
    serving.serve(v=urls("http://a"))
    assert upstream.unresolved
    await upstream.resolve()
    assert serving.pick(upstream).pool.retired  # connected to, but not kept
    assert cast("DnsSource", upstream.sources[0]).resolved._timer is None
    assert serving.counted == {"http://a"}
