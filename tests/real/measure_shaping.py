"""Measure, by hand, what shaping saves at a real llama.cpp server. `make test-real` first; then

    cd tests/real && ../../.build/real-venv/bin/python measure_shaping.py

It prints the tables of docs/shaping.md. The model has random weights, so its words mean nothing,
but each token costs what a token of such a model costs.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import tiny_model
from process import ROOT, free_port, serving

RUNS: Final = 9
SYSTEM: Final = """\
You are a support agent. You are polite.

You are a support agent.


Always answer in English. Never promise a refund to the user.
Always answer in English. Look up the order before you answer.



Never promise a refund to the user. You are a support agent.
Look up the order before you answer. Always answer in English.
"""


def policies() -> dict[str, Any]:
    """One for each column of the tables."""
    caps = {f"cap{n}": {"shape": {"max_tokens": {"cap": n}}} for n in (64, 128, 512)}
    trim = {"shape": {"trim_system": True, "max_tokens": {"cap": 8}}}
    return {**caps, "asis": {"shape": {"max_tokens": {"cap": 8}}}, "trim": trim}


@contextmanager
def running(folder: Path) -> Iterator[int]:
    """Run the server and the sidecar; yields the sidecar's port."""
    for name, size in (("_WIDTH", 256), ("_LAYERS", 8), ("_HIDDEN", 1024)):
        setattr(tiny_model, name, size)
    model, server, port = folder / "model.gguf", free_port(), free_port()
    tiny_model.write(model)
    config = {
        "listeners": [{"address": f"127.0.0.1:{port}"}],
        "upstreams": {"llama": {"endpoints": [{"url": f"http://127.0.0.1:{server}"}]}},
        "routes": [
            {"match": {"path": f"/{name}"}, "upstream": "llama", "rewrite": "/", "policy": name}
            for name in policies()
        ],
        "policies": policies(),
        "admin": {"address": None},
        "access_log": {"path": None},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    llama = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--n_ctx", "4096",
             "--n_threads", "1", "--host", "127.0.0.1", "--port", str(server)]  # fmt: skip
    sidecar = [str(ROOT / ".venv/bin/sidecar"), "run", "-c", str(folder / "config.yaml")]
    with serving("measure-llama", llama, server), serving("measure-sidecar", sidecar, port):
        yield port


def ask(port: int, policy: str, number: int) -> tuple[float, int, int, str]:
    """Seconds, tokens of prompt and answer, and what the sidecar says that it changed.

    The number keeps the server from using what it has cached of the prompt before.
    """
    body = {
        "model": "m",
        "temperature": 0,
        "messages": [
            {"role": "system", "content": f"Shift {number}.\n{SYSTEM}"},
            {"role": "user", "content": "Where is it?"},
        ],
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{policy}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request) as reply:
        usage = json.load(reply)["usage"]
        took = time.perf_counter() - began
        told = reply.headers["x-sidecar-shaped"] or ""
    return took, usage["prompt_tokens"], usage["completion_tokens"], told


def main() -> None:
    """Ask in turns, so that other work on the machine slows all columns alike."""
    told: dict[str, list[tuple[float, int, int, str]]] = {name: [] for name in policies()}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as port:
        for run in range(RUNS):
            for index, name in enumerate(told):
                told[name].append(ask(port, name, 100 + 10 * run + index))
    for name, calls in told.items():
        took = statistics.median(call[0] for call in calls)
        sys.stdout.write(f"{name:8} {took * 1e3:8.0f} ms, {calls[0][1:]}\n")


if __name__ == "__main__":
    main()
