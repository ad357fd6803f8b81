"""Certificates in a Secret that replicas share, and their CA in the webhook configuration."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sidecar.kube.api import Api, ApiError
from sidecar.kube.certificate_source import RotatingCertificate
from sidecar.kube.certificates import authorities
from tests.kube.api_server import CONFIGURATION, SECRET, VALIDATING, ApiServer, api_server

START = datetime.now(UTC)


class Replica:
    def __init__(self, api: Api, validating: str | None = None) -> None:
        self.now = START
        self.rotation = RotatingCertificate(
            api,
            service="injector",
            secret="certs",
            configuration="injector",
            validating=validating,
            clock=lambda: self.now,
        )


def kept(server: ApiServer) -> bytes:
    return base64.b64decode(server.objects[SECRET]["data"]["tls.crt"])


async def test_the_first_look_makes_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_server(tmp_path, monkeypatch) as (server, api):
        made = await Replica(api).rotation.current()
        assert made is not None
        assert made.chain == kept(server)
        assert server.bundles() == [base64.b64encode(made.bundle).decode()] * 2
        assert server.writes == [SECRET, CONFIGURATION]


async def test_who_reviews_policies_is_trusted_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_server(tmp_path, monkeypatch) as (server, api):
        replica = Replica(api, validating="injector")
        first = await replica.rotation.current()
        assert first is not None
        assert server.bundles(VALIDATING) == [base64.b64encode(first.bundle).decode()]
        assert server.writes == [SECRET, CONFIGURATION, VALIDATING]
        del server.objects[VALIDATING]["webhooks"][0]["clientConfig"]["caBundle"]
        assert await replica.rotation.current() is None, "API servers may not know it yet"
        assert await replica.rotation.current() == first


async def test_nothing_is_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_server(tmp_path, monkeypatch) as (server, api):
        one, other = Replica(api), Replica(api)
        made = await one.rotation.current()
        assert await one.rotation.current() == made
        assert await other.rotation.current() == made
        assert server.writes == [SECRET, CONFIGURATION]


async def test_a_renewal_is_served_once_its_ca_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_server(tmp_path, monkeypatch) as (server, api):
        one, other = Replica(api), Replica(api)
        first = await one.rotation.current()
        assert first is not None
        one.now = other.now = START + timedelta(days=61)
        assert await one.rotation.current() is None, "API servers may not know it yet"
        second = await one.rotation.current()
        assert second is not None
        assert second != first
        assert await other.rotation.current() == second
        assert authorities(second.bundle)[1:] == authorities(first.bundle)
        assert server.bundles() == [base64.b64encode(second.bundle).decode()] * 2


async def test_only_one_of_two_replicas_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_server(tmp_path, monkeypatch) as (server, api):
        one = Replica(api)

        def meanwhile() -> None:
            server.before_write = lambda: None
            server.objects[SECRET]["metadata"]["resourceVersion"] = "7"

        server.before_write = meanwhile
        assert await one.rotation.current() is None
        assert server.writes == []
        assert await one.rotation.current() is not None


async def test_a_bundle_that_somebody_took_away_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_server(tmp_path, monkeypatch) as (server, api):
        one = Replica(api)
        await one.rotation.current()
        before = server.bundles()
        del server.objects[CONFIGURATION]["webhooks"][1]["clientConfig"]["caBundle"]
        assert await one.rotation.current() is None
        assert server.bundles() == before
        assert server.writes[-1] == CONFIGURATION


@pytest.mark.parametrize(
    "data", [{}, {"tls.crt": "!"}, {"tls.crt": "", "tls.key": "", "ca.crt": ""}]
)
async def test_a_secret_without_sense_is_replaced(
    data: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_server(tmp_path, monkeypatch) as (server, api):
        server.objects[SECRET]["data"] = data
        assert await Replica(api).rotation.current() is not None
        assert b"BEGIN CERTIFICATE" in kept(server)


async def test_a_token_that_was_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_server(tmp_path, monkeypatch) as (server, api):
        one = Replica(api)
        await one.rotation.current()
        server.token = "second"
        with pytest.raises(ApiError, match="401 who are you") as refused:
            await one.rotation.current()
        assert refused.value.status == 401
        tmp_path.joinpath("token").write_text("second")
        assert await one.rotation.current() is not None


async def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_server(tmp_path, monkeypatch) as (server, api):
        del server.objects[CONFIGURATION]
        with pytest.raises(ApiError, match="mutatingwebhookconfigurations/injector: 404 not found"):
            await Replica(api).rotation.current()
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
        nobody = Api(tmp_path)
        with pytest.raises(ApiError, match="GET /api/v1") as refused:
            await Replica(nobody).rotation.current()
        await nobody.close()
        assert refused.value.status == 0
