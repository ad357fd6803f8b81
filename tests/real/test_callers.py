"""Known callers over https: the openai SDK and curl, with client certificates and tokens."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import openai
import pytest
from conftest import DIRECT, SIDECAR
from keeper import Keeper
from process import free_port, serving
from sdk import sync_openai

pytestmark = pytest.mark.skipif(DIRECT, reason="it is about who may call the sidecar")
ISSUER: Final = "https://kubernetes.default.svc"
SPIFFE: Final = "spiffe://cluster.local/ns/prod/sa/billing"
ACCOUNT: Final = "system:serviceaccount:prod:billing"


def openssl(folder: Path, *arguments: str) -> bytes:
    command = ["openssl", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout


def issue(folder: Path, name: str, alternative: str) -> None:
    """Make `NAME.crt` and `NAME.key`, signed by `ca`."""
    openssl(
        folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
    )  # fmt: skip
    (folder / "names").write_text(f"subjectAltName={alternative}")
    openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
        "-CAcreateserial", "-days", "1", "-extfile", "names", "-out", f"{name}.crt",
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, certificates of a server and a caller, and the key pair of a tokens' issuer."""
    made = tmp_path_factory.mktemp("callers")
    openssl(
        made, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "ca.key", "-out", "ca.crt", "-days", "1", "-subj", "/CN=ca",
    )  # fmt: skip
    issue(made, "server", "DNS:localhost,IP:127.0.0.1")
    issue(made, "caller", f"URI:{SPIFFE}")
    openssl(made, "genrsa", "-out", "issuer.key", "2048")
    openssl(made, "rsa", "-in", "issuer.key", "-pubout", "-out", "issuer.pub")
    return made


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[tuple[str, Keeper]]:
    """Base URL of a sidecar that knows callers, and the server behind it."""
    server, port = Keeper(), free_port()
    file = folder / "sidecar.yaml"
    content = {
        "listeners": [
            {
                "address": f"127.0.0.1:{port}",
                "tls": {"cert": "server.crt", "key": "server.key"},
                "access": {
                    "certificates": {"ca": "ca.crt", "allow": [SPIFFE]},
                    "tokens": {
                        "keys": "issuer.pub",
                        "issuer": ISSUER,
                        "audiences": ["llm-sidecar"],
                    },
                },
            }
        ],
        "upstreams": {"own": {"endpoints": [{"url": f"http://127.0.0.1:{server.port}"}]}},
        "routes": [{"upstream": "own"}],
        "admin": {"address": None},
        "access_log": {"path": str(folder / "calls.log")},
    }
    file.write_text(json.dumps(content))
    with (
        contextlib.closing(server.socket),
        serving("callers", [str(SIDECAR), "run", "-c", str(file)], port),
    ):
        yield f"https://localhost:{port}/v1", server
        server.shutdown()


def token(folder: Path, **claims: Any) -> str:
    """A token as an API server issues them, signed by openssl."""
    now = time.time()
    said = {"iss": ISSUER, "sub": ACCOUNT, "aud": ["llm-sidecar"], "exp": now + 600} | claims
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "kid": "x"}, said)]
    signed = b".".join(map(base64.urlsafe_b64encode, parts)).replace(b"=", b"")
    (folder / "signed").write_bytes(signed)
    signature = openssl(folder, "dgst", "-sha256", "-sign", "issuer.key", "signed")
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def client(url: str, folder: Path, *, shows: bool, key: str = "sk-provider") -> openai.OpenAI:
    """The SDK, which trusts the CA and *shows* a certificate, or none."""
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    if shows:
        context.load_cert_chain(folder / "caller.crt", folder / "caller.key")
    return sync_openai(url, api_key=key, http_client=openai.DefaultHttpxClient(verify=context))


def last_team(folder: Path) -> str:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        log = folder / "calls.log"
        lines = log.read_text().splitlines() if log.exists() else []
        if lines:
            log.write_text("")
            return str(json.loads(lines[-1]).get("team", ""))
        time.sleep(0.02)
    raise AssertionError("no line in the access log")


def test_the_sdk_with_a_client_certificate(served: tuple[str, Keeper], folder: Path) -> None:
    url, server = served
    with client(url, folder, shows=True) as sdk:
        assert sdk.responses.create(model="m", input="hi").output_text == "turn 1"
        assert server.last["authorization"] == "Bearer sk-provider"
        assert last_team(folder) == SPIFFE


def test_the_sdk_with_a_token(served: tuple[str, Keeper], folder: Path) -> None:
    url, server = served
    with client(url, folder, shows=False, key=token(folder)) as sdk:
        with sdk.responses.stream(model="m", input="hi") as stream:
            assert stream.get_final_response().output_text == "turn 1"
        assert "authorization" not in server.last
        assert last_team(folder) == ACCOUNT


def test_the_sdk_is_told_why_it_may_not_call(served: tuple[str, Keeper], folder: Path) -> None:
    url, _ = served
    for key, told in (
        ("sk-provider", "expected a token or a client certificate"),
        (token(folder, exp=1), "the token has expired"),
        (token(folder, aud="other"), "for another audience"),
    ):
        with (
            client(url, folder, shows=False, key=key) as sdk,
            pytest.raises(openai.AuthenticationError, match=told),
        ):
            sdk.models.list()


def test_curl_with_and_without_a_certificate(served: tuple[str, Keeper], folder: Path) -> None:
    url, _ = served
    curl = ["curl", "-sS", "--cacert", "ca.crt", "-o", "/dev/null", "-w", "%{http_code}"]
    shows = ["--cert", "caller.crt", "--key", "caller.key"]
    asked = f"{url}/responses/resp_none"
    for more, status in ((shows, b"404"), ([], b"401")):
        done = subprocess.run([*curl, *more, asked], cwd=folder, capture_output=True, check=True)
        assert done.stdout == status
    plain = asked.replace("https:", "http:")
    refused = subprocess.run(["curl", "-sS", plain], capture_output=True, check=True)
    assert b"https://" in refused.stdout  # what it says to do


def test_a_certificate_of_another_ca_does_not_connect(
    served: tuple[str, Keeper], folder: Path
) -> None:
    url, _ = served
    other = folder / "other"
    other.mkdir(exist_ok=True)
    openssl(
        other, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "caller.key",
        "-out", "caller.crt", "-days", "1", "-subj", "/CN=billing",
    )  # fmt: skip
    (other / "ca.crt").write_bytes((folder / "ca.crt").read_bytes())
    with client(url, other, shows=True) as sdk, pytest.raises(openai.APIConnectionError):
        sdk.models.list()
