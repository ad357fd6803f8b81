"""The webhook's servers as an API server and a kubelet meet them."""

from __future__ import annotations

import asyncio
import io
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sidecar.cli import main
from sidecar.kube import review as reviewing
from sidecar.kube import webhook as module
from sidecar.kube.certificate_source import CertificateFiles
from sidecar.kube.certificates import Certificate, make
from sidecar.kube.settings import Settings
from sidecar.kube.webhook import MAX_REVIEW, Webhook
from tests.kube.corpus import corpus
from tests.kube.reviews import patched, review
from tests.kube.test_policy_review import GOOD, TYPO, config_map
from tests.test_app import free_port

NAME = "injector.ns.svc"
PODS = {name: tree for name, tree in corpus().items() if "metadata" in tree}


class Client:
    def __init__(self, session: aiohttp.ClientSession, folder: Path) -> None:
        self.session = session
        self.folder = folder
        self.port, self.health = free_port(), free_port()
        self.trust = ssl.create_default_context()
        self.stop = asyncio.Event()

    def certify(self) -> Certificate:
        """Put a new certificate into the folder, and trust it alone."""
        made = make((NAME,), datetime.now(UTC))
        self.trust = ssl.create_default_context(cadata=made.bundle.decode())
        self.folder.joinpath("tls.key").write_bytes(made.key)
        self.folder.joinpath("tls.crt").write_bytes(made.chain)
        return made

    async def post(self, body: bytes, path: str = "/inject") -> tuple[int, str]:
        url = f"https://127.0.0.1:{self.port}{path}"
        async with self.session.post(
            url, data=io.BytesIO(body), ssl=self.trust, server_hostname=NAME
        ) as reply:
            return reply.status, await reply.text()

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"http://127.0.0.1:{self.health}{path}") as reply:
            return reply.status, await reply.text()

    async def ready(self, status: int = 200) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    if (await self.get("/ready"))[0] == status:
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.01)


@asynccontextmanager
async def serving(folder: Path, *, certified: bool = True) -> AsyncIterator[Client]:
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = Client(session, folder)
        if certified:
            client.certify()
        webhook = Webhook(Settings(), CertificateFiles(folder))
        running = asyncio.create_task(webhook.run(client.port, client.health, client.stop))
        try:
            await client.ready(200 if certified else 503)
            yield client
        finally:
            client.stop.set()
            await running


async def test_the_whole_corpus_over_tls(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        for pod in PODS.values():
            status, text = await client.post(review(pod))
            response = json.loads(text)["response"]
            assert (status, response["allowed"]) == (200, True)
            again = json.loads((await client.post(review(patched(pod, response))))[1])
            assert "patch" not in again["response"]
        count = f'sidecar_injector_reviews_total{{result="injected"}} {len(PODS) * 2}.0'
        assert count in (await client.get("/metrics"))[1]


async def test_where_net_admin_is_forbidden(tmp_path: Path) -> None:
    capture = PODS["plain"] | {
        "metadata": {
            "name": "p",
            "annotations": {"llm-sidecar/mode": "capture", "llm-sidecar/config-map": "c"},
        }
    }
    async with serving(tmp_path) as client:
        for path, forbidden in (("/inject", False), ("/inject/no-net-admin", True)):
            response = json.loads((await client.post(review(capture), path))[1])["response"]
            assert ("NET_ADMIN" in json.dumps(patched(capture, response))) is not forbidden


async def test_policies_are_reviewed(tmp_path: Path) -> None:
    maps = {"group": "", "version": "v1", "resource": "configmaps"}
    async with serving(tmp_path) as client:
        for text, allowed in ((GOOD, True), (TYPO, False)):
            body = review(config_map(text), resource=maps)
            status, said = await client.post(body, "/validate")
            response = json.loads(said)["response"]
            assert (status, response["allowed"]) == (200, allowed)
        counted = (await client.get("/metrics"))[1]
        for result in ("accepted", "denied"):
            assert f'sidecar_injector_reviews_total{{result="{result}"}} 1.0' in counted


async def test_what_is_no_review_gets_a_clear_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        assert await client.post(b"{}") == (
            400,
            "expected an AdmissionReview of admission.k8s.io/v1\n",
        )
        assert (await client.post(b" " * (MAX_REVIEW + 1)))[0] == 413
        assert (await client.post(b"", "/other"))[0] == 404
        said = (await client.get("/metrics"))[1]
        assert 'reviews_total{result="bad"} 1.0' in said
        assert 'reviews_total{result="too_large"} 1.0' in said
        assert (await client.post(review(PODS["plain"])))[0] == 200, "it still serves"


async def test_a_bug_is_for_the_failure_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    async with serving(tmp_path) as client:
        with monkeypatch.context() as patch:
            patch.setattr(reviewing, "inject", broken)
            assert (await client.post(review(PODS["plain"])))[0] == 500
        assert (await client.post(review(PODS["plain"])))[0] == 200
        assert "ZeroDivisionError" in caplog.text
        assert 'reviews_total{result="failed"} 1.0' in (await client.get("/metrics"))[1]


async def test_a_renewed_certificate_is_taken(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        for _ in range(2):
            client.certify()
            async with asyncio.timeout(20):
                while True:
                    try:
                        assert (await client.post(review(PODS["plain"])))[0] == 200
                        break
                    except aiohttp.ClientConnectorCertificateError:
                        await asyncio.sleep(0)


async def test_a_key_that_does_not_fit_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as client:
        tmp_path.joinpath("tls.key").write_bytes(make((NAME,), datetime.now(UTC)).key)
        async with asyncio.timeout(20):
            while "certificate was not renewed" not in caplog.text:
                assert (await client.get("/ready"))[0] == 200
        assert (await client.post(review(PODS["plain"])))[0] == 200


async def test_without_a_certificate_it_lives_but_is_not_ready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, certified=False) as client:
        assert await client.get("/ready") == (503, "no certificate yet\n")
        assert re.search(r"no certificate yet: .*tls\.crt", caplog.text)
        assert "stays in use" not in caplog.text
        assert (await client.get("/live"))[0] == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.post(review(PODS["plain"]))
        client.certify()
        await client.ready()
        assert (await client.post(review(PODS["plain"])))[0] == 200
        ends = "sidecar_injector_certificate_expiry_timestamp_seconds 1"
        assert ends in (await client.get("/metrics"))[1]


async def test_a_port_in_use(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        other = Webhook(Settings(), CertificateFiles(tmp_path))
        with pytest.raises(OSError, match="in use"):
            await other.run(client.port, free_port(), asyncio.Event())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--secret", "s"], "--secret needs --service and --configuration"),
        (["--certificates", "x", "--set", "mode=x"], "invalid enum value 'x'"),
        (
            ["--secret=s", "--service=s", "--configuration=c", "--service-account=/none"],
            "No such file",
        ),
    ],
)
def test_wrong_arguments(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["webhook", *arguments]) == 1
    assert said in capsys.readouterr().err
