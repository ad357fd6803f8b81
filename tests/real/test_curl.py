"""curl: what applications and people send that no SDK does."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from pathlib import Path
from typing import Final

import pytest
from lockstep import EVENTS, Lockstep
from peers import Play, Scene, Sidecar
from programs import reading, run
from scripted import Exchange

CURL: Final = ["curl", "--silent", "--show-error", "--max-time", "30", "--noproxy", "*"]
BODY: Final = '{"model": "m"}'


def _digest(exchange: Exchange) -> None:
    exchange.json(200, {"got": hashlib.sha256(exchange.body).hexdigest()})


@pytest.fixture
def digests(play: Play) -> Scene:
    """A server that answers with the SHA-256 of what it got."""
    return play(_digest)


@pytest.fixture
def upload(tmp_path: Path) -> tuple[Path, str]:
    """A file of 20 MiB, and its SHA-256: too large to be held for a replay."""
    path, data = tmp_path / "upload", random.Random(14).randbytes(20 * 2**20)
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def test_stream_is_not_held_back(play: Play) -> None:
    steps = Lockstep()
    count = 0
    with reading([*CURL, "-N", "-d", BODY, play(steps.script).url]) as lines:
        for line in lines:
            if line.startswith("data: {"):
                count += 1
                steps.got()
    assert count == EVENTS
    assert line == "\n"


def test_expect_100_continue_with_a_large_body(digests: Scene, upload: tuple[Path, str]) -> None:
    path, digest = upload
    done = run(
        [*CURL, "-v", "-H", "Expect: 100-continue", "--expect100-timeout", "20",
         "--data-binary", f"@{path}", digests.url]
    )  # fmt: skip
    assert "< HTTP/1.1 100 " in done.stderr
    assert json.loads(done.stdout) == {"got": digest}


def test_chunked_upload(digests: Scene, upload: tuple[Path, str]) -> None:
    path, digest = upload
    done = run(
        [*CURL, "-X", "POST", "-H", "Transfer-Encoding: chunked", "-T", str(path), digests.url]
    )
    assert json.loads(done.stdout) == {"got": digest}


def test_http_1_0_caller_gets_a_body_it_can_read(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        exchange.head(200, [("content-type", "text/plain")])
        for n in range(1000):
            exchange.chunk(f"line {n}\n".encode())
        exchange.end()

    done = run([*CURL, "-0", "-i", play(script).url])
    head, _, body = done.stdout.partition("\n\n")
    assert body == "".join(f"line {n}\n" for n in range(1000))
    assert "chunked" not in head.lower()


def test_http_1_0_caller_is_closed_on_or_kept_as_it_asks(digests: Scene) -> None:
    for extra in ([], ["-H", "Connection: keep-alive"]):
        done = run([*CURL, "-0", *extra, "-d", BODY, digests.url, digests.url])
        assert done.stdout.count(hashlib.sha256(BODY.encode()).hexdigest()) == 2


def test_head_leaves_the_connection_usable(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        if exchange.method == "HEAD":
            exchange.head(200, [("content-type", "text/plain")], length=1234)
            exchange.end()
        else:
            exchange.json(200, {"here": True})

    scene = play(script)
    done = run([*CURL, "-I", scene.url, "--next", *CURL[1:], "-w", "%{num_connects}", scene.url])
    assert "content-length: 1234" in done.stdout.lower()
    assert done.stdout.endswith('{"here": true}0')


@pytest.mark.parametrize("status", [204, 304])
def test_replies_without_a_body_leave_the_connection_usable(play: Play, status: int) -> None:
    def script(exchange: Exchange) -> None:
        if len(scene.exchanges) == 1:
            exchange.bodiless(status)
        else:
            exchange.json(200, {"here": True})

    scene = play(script)
    done = run([*CURL, "-w", "%{http_code} %{num_connects} ", scene.url, scene.url])
    assert done.stdout == f'{status} 1 {{"here": true}}200 0 '


@pytest.mark.parametrize("arguments", [["-d", BODY], [], ["-X", "DELETE"]])
def test_http2_by_upgrade_falls_back(digests: Scene, arguments: list[str]) -> None:
    done = run([*CURL, "--http2", *arguments, "-w", " %{http_version}", digests.url])
    assert done.stdout.endswith(" 1.1")
    assert digests.only.body == (BODY.encode() if "-d" in arguments else b"")


def test_http2_by_prior_knowledge_is_refused_at_once(digests: Scene) -> None:
    command = [*CURL, "--max-time", "10", "--http2-prior-knowledge", digests.url]
    done = run(command, ok=False)
    timed_out = 28
    assert done.returncode not in (0, timed_out), done.stderr
    assert run([*CURL, "-d", BODY, digests.url]).stdout
    assert len(digests.exchanges) == 1


def test_compressed_reply_is_untouched(play: Play) -> None:
    packed = gzip.compress(b"tokens " * 10_000)

    def script(exchange: Exchange) -> None:
        exchange.head(200, [("content-encoding", "gzip")], length=len(packed))
        exchange.chunk(packed)
        exchange.end()

    scene = play(script)
    assert run([*CURL, "--compressed", scene.url]).stdout == "tokens " * 10_000
    assert "gzip" in (scene.only.header("accept-encoding") or "")


def test_headers_keep_order_spelling_and_repeats(digests: Scene) -> None:
    sent = [("X-One", "1"), ("x-two", "2"), ("X-oNe", "3"), ("OpenAI-Beta", "a=b"), ("X-Empty", "")]
    arguments = [
        text for name, value in sent for text in ("-H", f"{name}: {value}" if value else f"{name};")
    ]
    run([*CURL, *arguments, digests.url])
    names = {name.lower() for name, _ in sent}
    assert [pair for pair in digests.only.raw_headers if pair[0].lower() in names] == sent


def test_hop_by_hop_headers_stay_on_their_hop(sidecar: Sidecar, digests: Scene) -> None:
    hop = ["Connection: keep-alive, X-Private", "X-Private: 1", "Keep-Alive: timeout=5", "TE: gzip"]
    run([*CURL, *(text for line in hop for text in ("-H", line)), digests.url])
    for name in ("x-private", "keep-alive", "te", "proxy-connection"):
        assert digests.only.header(name) is None


def test_query_and_escapes_arrive_as_they_were(play: Play) -> None:
    scene = play(_digest)
    run([*CURL, "--path-as-is", f"{scene.url}/a%2Fb/%7Ec?x=%20y&z=a+b&&"])
    assert scene.only.target == f"{scene.played.path}/a%2Fb/%7Ec?x=%20y&z=a+b&&"


def test_unix_socket(sidecar: Sidecar, play: Play) -> None:
    scene = play(_digest)
    url = f"http://localhost/openai-scripted{scene.played.path}"
    done = run([*CURL, "--unix-socket", str(sidecar.socket), "-d", BODY, url])
    assert json.loads(done.stdout) == {"got": hashlib.sha256(BODY.encode()).hexdigest()}
