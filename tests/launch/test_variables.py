"""What programs are told, in each mode."""

from pathlib import Path

import pytest

from sidecar.ca.trust import Trust
from sidecar.launch.variables import variables

ADDRESSES = {"reverse": "127.0.0.1:1", "forward": "127.0.0.1:2", "capture": "127.0.0.1:3"}
TRUST = Trust(Path("/t/ca.crt"), Path("/t/bundle.pem"), Path("/t/store.p12"))
JAVA = (
    "-Djavax.net.ssl.trustStore=/t/store.p12 -Djavax.net.ssl.trustStoreType=PKCS12 "
    "-Djavax.net.ssl.trustStorePassword=changeit"
)


def test_base_urls() -> None:
    assert variables("base-url", ADDRESSES, None, {}) == {
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
        "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:1/gemini",
    }


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("https://mine.openai.azure.com/", "http://127.0.0.1:1/azure/mine"),
        ("https://mine.openai.azure.com", "http://127.0.0.1:1/azure/mine"),
        ("https://gateway.example/", None),
    ],
)
def test_azure_has_its_resource_in_its_name(endpoint: str, told: str | None) -> None:
    found = variables("base-url", ADDRESSES, None, {"AZURE_OPENAI_ENDPOINT": endpoint})
    assert found.get("AZURE_OPENAI_ENDPOINT") == told


def test_capture_needs_trust_only() -> None:
    assert variables("capture", ADDRESSES, TRUST, {}) == {
        "SSL_CERT_FILE": "/t/bundle.pem",
        "REQUESTS_CA_BUNDLE": "/t/bundle.pem",
        "CURL_CA_BUNDLE": "/t/bundle.pem",
        "NODE_EXTRA_CA_CERTS": "/t/ca.crt",
        "JAVA_TOOL_OPTIONS": JAVA,
    }


def test_proxy() -> None:
    found = variables("proxy", ADDRESSES, TRUST, {"NO_PROXY": "mine.example"})
    assert found["SSL_CERT_FILE"] == "/t/bundle.pem"
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        assert found[name] == "http://127.0.0.1:2"
    past = found["NO_PROXY"].split(",")
    assert past[:2] == ["mine.example", "localhost"]
    assert ".svc" in past
    assert found["no_proxy"] == found["NO_PROXY"]
    assert found["JAVA_TOOL_OPTIONS"].startswith(JAVA)
    assert "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=2" in found["JAVA_TOOL_OPTIONS"]


def test_what_java_was_told_stays() -> None:
    found = variables("capture", ADDRESSES, TRUST, {"JAVA_TOOL_OPTIONS": "-Xmx1g"})
    assert found["JAVA_TOOL_OPTIONS"] == f"-Xmx1g {JAVA}"


@pytest.mark.parametrize("mode", ["base-url", "proxy", "capture"])
def test_without_a_listener_for_it(mode: str) -> None:
    with pytest.raises(LookupError):
        variables(mode, {}, TRUST, {})  # type: ignore[arg-type]
