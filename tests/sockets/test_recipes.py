"""Each recipe of docs/recipes.md does what it says, with servers in place of the providers."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.cli import main
from sidecar.config.load import load
from tests.certificates import Ca
from tests.sockets.peers import until
from tests.sockets.scripted import Fleet, Scripted, chat, status
from tests.sockets.test_budgets import answer
from tests.sockets.test_fallbacks import asked

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
RECIPES: dict[str, str] = dict(
    re.findall(r"^## (.+?)\n.*?^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
)
KEYS = ("OPENAI_API_KEY", "OPENAI_API_KEY_2", "AZURE_OPENAI_API_KEY")
LIMITED = status(429, b"Retry-After: 60")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, f"value-of-{name}")


def kitchen(title: str, path: Path, **servers: Scripted) -> Fleet:
    """A sidecar with the recipe *title*, whose upstreams of these names are *servers*."""
    config = yaml.safe_load(RECIPES[title])
    for name, server in servers.items():
        upstream = config["upstreams"][name]
        url = re.sub(r"^https?://[^/]*", server.url, upstream["endpoints"][0]["url"])
        upstream["endpoints"] = [{"url": url}]
    if "budgets" in config:
        config["budgets"]["ledger"] = str(path / "ledger.db")
    config["listeners"][0]["address"] = "127.0.0.1:0"
    fleet = Fleet(*servers.values())
    fleet.config = {**config, "access_log": {"path": None}, "admin": {"address": None}}
    return fleet


def heads(server: Scripted, field: str) -> list[str]:
    """The values of *field* that a server has got; the request's target for ":path"."""
    found = []
    for request in server.requests:
        lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        found.append(lines[0].split()[1] if field == ":path" else fields.get(field, ""))
    return found


def test_there_are_twelve() -> None:
    assert len(RECIPES) == 12
    assert PAGE.read_text("utf-8").count("```yaml") == 12


@pytest.mark.parametrize("title", RECIPES)
def test_each_is_good_without_a_warning(
    title: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificates(tmp_path / "tls")
    file = tmp_path / "sidecar.yaml"
    file.write_text(RECIPES[title], "utf-8")
    assert main(["check", "--strict", str(file)]) == 0, capsys.readouterr().err


def certificates(folder: Path) -> None:
    folder.mkdir()
    ca = Ca()
    client = ca.issue("client", days=19)
    (folder / "ca.pem").write_bytes(ca.pem)
    (folder / "client.pem").write_bytes(client.cert)
    (folder / "client.key").write_bytes(client.key)


async def test_two_keys(tmp_path: Path) -> None:
    server = Scripted("openai", LIMITED)
    async with kitchen("Two keys for one provider", tmp_path, openai=server) as fleet:
        for _ in range(20):
            assert (await fleet.gets(chat()))[0] == 200
        assert len(set(heads(server, "authorization"))) == 2
        limited, *others = heads(server, "authorization")
        assert limited not in others
        assert len(others) == 20


async def test_azure(tmp_path: Path) -> None:
    openai, azure = Scripted("openai", always=status(500)), Scripted("azure")
    title = "Azure when OpenAI fails"
    async with kitchen(title, tmp_path, openai=openai, azure=azure) as fleet:
        call = chat("gpt-4o", b"Authorization: Bearer callers-own")
        assert (await fleet.gets(call))[:2] == (200, b"azure")
        assert set(heads(openai, ":path")) == {"/v1/chat/completions"}
        assert set(heads(openai, "authorization")) == {"bearer value-of-openai_api_key"}
        assert heads(azure, ":path") == ["/openai/v1/chat/completions"]
        assert heads(azure, "api-key") == ["value-of-azure_openai_api_key"]
        assert heads(azure, "authorization") == [""]
        assert asked(azure) == ["gpt-4o-eu"]


async def test_canary(tmp_path: Path) -> None:
    old, new = Scripted("glm"), Scripted("glm-next")
    fleet = kitchen("A canary for a new model", tmp_path, glm=old, **{"glm-next": new})
    async with fleet:
        sides: dict[int, bytes] = {}
        for _ in range(2):
            for user in range(100):
                _, side, _ = await fleet.gets(chat("glm", b"X-User: %d" % user))
                assert sides.setdefault(user, side) == side
        assert 1 <= sum(side == b"glm-next" for side in sides.values()) <= 30
        assert set(asked(new)) == {"glm-5"}


async def test_teams(tmp_path: Path) -> None:
    server = Scripted("openai", always=answer(model="gpt-4o"))
    async with kitchen("Limits and budgets for each team", tmp_path, openai=server) as fleet:
        a, b = chat("gpt-4o", b"X-Team: a", max_tokens=1), chat("gpt-4o", b"X-Team: b")
        assert [(await fleet.gets(a))[0] for _ in range(61)] == [200] * 60 + [429]
        assert (await fleet.gets(b))[0] == 200
        spent = fleet.stats.budgets["each-team"].current()
        million = 6 * 2.5 + 4 * 10
        assert spent == pytest.approx({"a": 60 * million / 1e6, "b": million / 1e6})


async def test_reasoning(tmp_path: Path) -> None:
    server = Scripted("openai", "wait")
    async with kitchen("Reasoning models", tmp_path, openai=server) as fleet:
        call = asyncio.create_task(fleet.gets(chat("o3")))
        await until(lambda: server.calls == 1)
        server.gate.set()
        assert (await call)[0] == 200
    config = load(RECIPES["Reasoning models"], file="s.yaml").config
    assert config.policies["thinking"].timeouts.first_byte == 1200.0


async def test_a_cheaper_model(tmp_path: Path) -> None:
    server = Scripted("openai", always=answer(model="gpt-4o"))
    title = "A cheaper model when the money is spent"
    fleet = kitchen(title, tmp_path, openai=server)
    fleet.config["budgets"]["limits"]["large"]["money"] = 0.0001
    async with fleet:
        for _ in range(3):
            assert (await fleet.gets(chat("gpt-4o")))[0] == 200
        assert asked(server) == ["gpt-4o", "gpt-4o", "gpt-4o-mini"]


async def test_the_same_question(tmp_path: Path) -> None:
    server = Scripted("openai", always=answer())
    async with kitchen("The same question once", tmp_path, openai=server) as fleet:
        for _ in range(3):
            assert (await fleet.gets(chat(temperature=0)))[0] == 200
        assert server.calls == 1
        await fleet.gets(chat(temperature=1))
        assert server.calls == 2


async def test_own_servers(tmp_path: Path) -> None:
    server = Scripted("glm", always=answer())
    async with kitchen("Your own model servers", tmp_path, glm=server) as fleet:
        assert (await fleet.gets(chat("glm", b"Authorization: Bearer own")))[0] == 200
        await until(lambda: {"/health", "/metrics"} <= set(heads(server, ":path")))
        assert set(heads(server, "authorization")) == {""}
        assert fleet.line.queued == 0


async def test_mirror(tmp_path: Path) -> None:
    old, new = Scripted("glm"), Scripted("glm-next")
    title = "A new model with real traffic, unseen"
    async with kitchen(title, tmp_path, glm=old, **{"glm-next": new}) as fleet:
        assert (await fleet.gets(chat("glm-4")))[:2] == (200, b"glm")
        await until(lambda: new.calls == 1)
        assert asked(new) == ["glm-5"]


async def test_batch_jobs(tmp_path: Path) -> None:
    server = Scripted("glm", "wait")
    async with kitchen("Batch jobs behind people", tmp_path, glm=server) as fleet:
        first = asyncio.create_task(fleet.gets(chat("first")))
        await until(lambda: server.calls == 1)
        job = asyncio.create_task(fleet.gets(chat("job", b"X-Workload: batch")))
        await until(lambda: fleet.line.queued == 1)
        person = asyncio.create_task(fleet.gets(chat("person")))
        await until(lambda: fleet.line.queued == 2)
        server.gate.set()
        for call in (first, job, person):
            assert (await call)[0] == 200
        assert asked(server) == ["first", "person", "job"]


async def test_redaction(tmp_path: Path) -> None:
    server = Scripted("openai", always=answer())
    async with kitchen("No personal data to a provider", tmp_path, openai=server) as fleet:
        said: Any = [{"role": "user", "content": "write to ada@example.org"}]
        assert (await fleet.gets(chat(messages=said)))[0] == 200
        body = json.loads(server.requests[0].partition(b"\r\n\r\n")[2])
        assert "ada@example.org" not in body["messages"][0]["content"]
        assert body["messages"][0]["content"].startswith("write to ")
