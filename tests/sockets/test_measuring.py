"""What a scrape shows of calls that were made: models, teams, the conventions' names."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.control.exporter import Exporter
from tests.sockets.peers import until
from tests.sockets.scripted import chat
from tests.sockets.stage import Stage
from tests.sockets.test_reading import PRICES, WHOLE, reply


def for_team(team: bytes) -> bytes:
    return chat("gpt-x").replace(b"\r\n\r\n", b"\r\nX-Team: %b\r\n\r\n" % team, 1)


@pytest.mark.parametrize(("trust", "team"), [({"team": "x-team"}, "blue"), ({}, "")])
async def test_money_is_counted_for_the_team_of_a_caller_that_is_trusted(
    trust: dict[str, Any], team: str
) -> None:
    stage = Stage(listener={"trust": trust})
    stage.config["prices"] = PRICES
    async with stage:
        client, server = await stage.call(for_team(b"blue"))
        await server.sends(reply(WHOLE))
        await client.reply()
        await until(lambda: stage.route.models.spent)
        [(key, spent)] = stage.route.models.spent.items()
        assert key == ("gpt-x-2", team)
        assert spent.cost == pytest.approx((60 * 2 + 40 * 1 + 20 * 10) / 1e6)
        page = Exporter(stage.stats).render("text/plain")[0].decode()
        labels = f'model="gpt-x-2",route="r",team="{team}",upstream="u"'
        assert f"sidecar_cost_total{{{labels}}}" in page


async def test_a_model_that_the_path_names_is_the_one_that_was_asked_for() -> None:
    async with Stage(upstream={"dialect": "gemini"}) as stage:
        body = b'{"contents": []}'
        path = b"POST /v1beta/models/gemini-x:generateContent HTTP/1.1\r\nHost: a\r\n"
        kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        client, server = await stage.call(path + kind + body)
        await server.sends(reply(b'{"candidates": [{"finishReason": "STOP"}]}'))
        await client.reply()
        await until(lambda: stage.route.models.asked)
        assert [*stage.route.models.asked] == ["gemini-x"]


async def test_the_conventions_names_come_and_go_with_the_configuration() -> None:
    stage = Stage()
    async with stage:
        for version, name in (
            ("1.41", b"gen_ai_client_operation_duration_seconds_count{"),
            ("latest", b"gen_ai_client_inference_duration_seconds_count{"),
            (None, b""),
        ):
            stage.config["metrics"] = {"semconv": version}
            await stage.apply()
            client, server = await stage.call(chat("gpt-x"))
            await server.sends(reply(WHOLE))
            await client.reply()
            await until(lambda: stage.route.models.asked and not stage.route.in_flight)
            page = Exporter(stage.stats).render("text/plain")[0]
            assert name in page
            assert (b"gen_ai_" in page) == (version is not None)
            client.closes()
            server.closes()
