"""How a pod wants its sidecar: the injector's defaults, with the pod's annotations over them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, structs

from sidecar import __version__
from sidecar.kube.names import OURS, PREFIX
from sidecar.redirect.rules import Ports

Mode = Literal["base-url", "proxy", "capture"]
Quantity = Annotated[str, Meta(pattern=r"^([0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?)?$")]
"""The usual part of what Kubernetes takes for amounts of CPU and memory; empty: none is set."""
Name = Annotated[str, Meta(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$")]
"""A DNS subdomain (RFC 1123), as names of ConfigMaps and Secrets are; empty: none."""
Port = Annotated[int, Meta(ge=1, le=65535)]

APIS: Final = ("openai", "anthropic", "gemini")


class Settings(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Each field is also an annotation, after `llm-sidecar/`."""

    mode: Annotated[
        Mode,
        Meta(
            description="How calls reach the sidecar. `base-url`: variables that SDKs read; "
            "`proxy`: `HTTPS_PROXY` and a CA bundle; `capture`: the kernel redirects connections, "
            "which needs an init container with NET_ADMIN."
        ),
    ] = "base-url"
    lifecycle: Annotated[
        Literal["native", "classic"],
        Meta(
            description="`native`: an init container that keeps running, starts before and ends "
            "after all others, and lets Jobs complete. `classic`: an ordinary container."
        ),
    ] = "native"
    image: Annotated[str, Meta(min_length=1, description="The sidecar's image.")] = (
        f"llm-sidecar:{__version__}"
    )
    image_pull_policy: Annotated[
        Literal["", "Always", "IfNotPresent", "Never"],
        Meta(description="When to pull the image. Empty: the cluster's default."),
    ] = ""
    config_map: Annotated[
        Name,
        Meta(
            description="ConfigMap of the pod's namespace whose key `sidecar.yaml` is the "
            "configuration. Empty: the built-in providers."
        ),
    ] = ""
    config_source: Annotated[
        str,
        Meta(
            pattern=r"^([a-z0-9]+://[!-~]+)?$",
            description="URL of a source of the configuration, as `etcd://HOST/KEY`, in place of "
            "the ConfigMap, or laid over it. Empty: none.",
        ),
    ] = ""
    secret: Annotated[
        Name,
        Meta(
            description="Secret of the pod's namespace, mounted in the sidecar only, at "
            "`/var/run/secrets/llm-sidecar`."
        ),
    ] = ""
    log_level: Annotated[
        Literal["", "debug", "info", "warning", "error"],
        Meta(description="The sidecar's log level. Empty: the configuration's."),
    ] = ""
    apis: Annotated[
        str,
        Meta(
            description="In mode `base-url`: the APIs whose variables are set. The "
            "configuration must route `/v1/` for `openai` and `anthropic`, `/gemini/` for `gemini`."
        ),
    ] = ",".join(APIS)
    azure_resource: Annotated[
        str,
        Meta(
            pattern="^([A-Za-z0-9][A-Za-z0-9-]{0,62})?$",
            description="In mode `base-url`: the resource for `AZURE_OPENAI_ENDPOINT`.",
        ),
    ] = ""
    port: Annotated[
        Port, Meta(description="In mode `base-url`: the listener's port in the configuration.")
    ] = 14001
    cpu_request: Annotated[Quantity, Meta(description="CPU request.")] = "50m"
    cpu_limit: Annotated[Quantity, Meta(description="CPU limit. Empty: none.")] = ""
    memory_request: Annotated[Quantity, Meta(description="Memory request.")] = "64Mi"
    memory_limit: Annotated[Quantity, Meta(description="Memory limit.")] = "512Mi"
    capture_ports: Annotated[
        str, Meta(description="In mode `capture`: remote ports to redirect, like `443,8000-8010`.")
    ] = "443"
    exclude_ports: Annotated[
        str, Meta(description="In mode `capture`: remote ports not to redirect.")
    ] = ""
    capture_cidrs: Annotated[
        str, Meta(description="In mode `capture`: remote networks to redirect. Empty: all.")
    ] = ""
    exclude_cidrs: Annotated[
        str, Meta(description="In mode `capture`: remote networks not to redirect.")
    ] = ""


class BadSettings(ValueError):
    """Settings that can't be had; `problems` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def with_annotations(base: Settings, annotations: Mapping[str, str]) -> Settings:
    """*base* with what a pod's annotations say. Raise BadSettings."""
    own = {
        name.removeprefix(PREFIX): value
        for name, value in annotations.items()
        if name.startswith(PREFIX) and name not in OURS
    }
    return changed(base, own, prefix=PREFIX)


def changed(base: Settings, texts: Mapping[str, object], *, prefix: str = "") -> Settings:
    """*base* with *texts* by name. Raise BadSettings with all that is wrong."""
    fields = {field.encode_name: field for field in structs.fields(Settings)}
    values: dict[str, object] = {}
    problems: list[str] = []
    for name, text in texts.items():
        if name not in fields:
            problems.append(f"{prefix}{name}: unknown{_suggestion(name, [*fields])}")
            continue
        try:
            values[fields[name].name] = msgspec.convert(text, fields[name].type, strict=False)
        except msgspec.ValidationError as error:
            problems.append(f"{prefix}{name}: {str(error)[:1].lower()}{str(error)[1:]}")
    made = structs.replace(base, **values)
    problems += [f"{prefix}{problem}" for problem in _wrong(made)]
    if problems:
        raise BadSettings(problems)
    return made


def listed(text: str) -> list[str]:
    """The items of a list with commas."""
    return [item.strip() for item in text.split(",") if item.strip()]


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""


def _wrong(settings: Settings) -> Iterator[str]:
    checks: dict[str, Callable[[str], bool]] = {
        "apis": APIS.__contains__,
        "capture_ports": _reads(Ports.parse),
        "exclude_ports": _reads(Ports.parse),
        "capture_cidrs": _reads(ip_network),
        "exclude_cidrs": _reads(ip_network),
    }
    for name, fits in checks.items():
        for item in listed(getattr(settings, name)):
            if not fits(item):
                yield f"{name.replace('_', '-')}: can't take {item!r}"


def _reads(parse: Callable[[str], object]) -> Callable[[str], bool]:
    """Whether `sidecar redirect`, which gets these texts, can take one."""

    def fits(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return fits
