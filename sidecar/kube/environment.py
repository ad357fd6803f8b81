"""Environment variables that lead an application's calls to the sidecar.

None replaces one of the user's: what a container sets itself it keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sidecar.kube.names import CA_VOLUME, PROXY_PORT
from sidecar.kube.settings import Settings, listed

CA_FOLDER: Final = "/var/run/llm-sidecar/ca"
BUNDLE: Final = CA_FOLDER + "/bundle.pem"
TRUST_STORE: Final = CA_FOLDER + "/truststore.p12"
_TRUST: Final = {
    "SSL_CERT_FILE": BUNDLE,
    "REQUESTS_CA_BUNDLE": BUNDLE,
    "CURL_CA_BUNDLE": BUNDLE,
    "NODE_EXTRA_CA_CERTS": BUNDLE,
    # The password is Java's own default: a trust store holds nothing secret.
    "JAVA_TOOL_OPTIONS": f"-Djavax.net.ssl.trustStore={TRUST_STORE} "
    "-Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=PKCS12",
}
"""What makes clients trust the sidecar's CA. All but Node's replace the system's roots, so that the
bundle has these too."""
_PROXY: Final = {
    "HTTPS_PROXY": f"http://127.0.0.1:{PROXY_PORT}",
    "NO_PROXY": "localhost,127.0.0.1,::1,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)",
}
"""HTTP_PROXY is left out: no LLM is called without TLS by a public name, and what a pod calls in
plain HTTP are its neighbours."""


_FIELDS: Final = {
    "POD_NAME": "metadata.name",
    "POD_UID": "metadata.uid",
    "POD_NAMESPACE": "metadata.namespace",
    "NODE_NAME": "spec.nodeName",
    # An empty one, where there is no such label, counts as none.
    "OTEL_SERVICE_NAME": "metadata.labels['app.kubernetes.io/name']",
}
_RESOURCE: Final = (
    "k8s.pod.name=$(POD_NAME),k8s.pod.uid=$(POD_UID),k8s.namespace.name=$(POD_NAMESPACE),"
    "k8s.node.name=$(NODE_NAME)"
)


def identity() -> list[dict[str, Any]]:
    """What tells our container, for its spans, which pod it is in (the downward API)."""
    fields = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in _FIELDS.items()
    ]
    return [*fields, {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": _RESOURCE}]


def variables(settings: Settings) -> dict[str, str]:
    """What an application's container needs in this mode."""
    if settings.mode == "base-url":
        return dict(_base_urls(settings))
    if settings.mode == "proxy":
        return _PROXY | _TRUST
    return dict(_TRUST)


def _base_urls(settings: Settings) -> Iterator[tuple[str, str]]:
    base = f"http://127.0.0.1:{settings.port}"
    apis = listed(settings.apis)
    if "openai" in apis:
        yield "OPENAI_BASE_URL", f"{base}/v1"
    if "anthropic" in apis:
        yield "ANTHROPIC_BASE_URL", base
    if "gemini" in apis:
        yield "GOOGLE_GEMINI_BASE_URL", f"{base}/gemini"
    if settings.azure_resource:
        yield "AZURE_OPENAI_ENDPOINT", f"{base}/azure/{settings.azure_resource}"


def add(container: dict[str, Any], wanted: dict[str, str]) -> list[str]:
    """Set what is *wanted* and not there, whatever its case; return the names that were set.

    They go last, so that no `$(NAME)` in the user's own values changes its meaning.
    """
    own = {variable["name"].upper() for variable in container.get("env") or ()}
    made = {name: value for name, value in wanted.items() if name not in own}
    if made:
        entries = [{"name": name, "value": value} for name, value in made.items()]
        container["env"] = [*(container.get("env") or ()), *entries]
    return [*made]


def hidden(container: dict[str, Any], names: list[str]) -> list[str]:
    """Names of *names* that a ConfigMap or Secret of the container may set too, unseen by us.

    What is in `env` wins over `envFrom` (Kubernetes, EnvFromSource).
    """
    prefixes = [source.get("prefix") or "" for source in container.get("envFrom") or ()]
    return [name for name in names if any(name.startswith(prefix) for prefix in prefixes)]


def mount_ca(container: dict[str, Any]) -> bool:
    """Let *container* read the CA bundle; False if something of its own is mounted there."""
    mounts = container.get("volumeMounts") or []
    if any(mount.get("mountPath", "").rstrip("/") == CA_FOLDER for mount in mounts):
        return False
    ours = {"name": CA_VOLUME, "mountPath": CA_FOLDER, "readOnly": True}
    container["volumeMounts"] = [*mounts, ours]
    return True
