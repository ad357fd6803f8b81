from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from sidecar.config.defaults import default_text, packaged
from sidecar.config.load import load
from sidecar.config.model import Config
from sidecar.config.model.units import Duration, Share, Size
from sidecar.config.schema import schema

SECTIONS: dict[str, Any] = schema()["$defs"]
FIELDS = [
    (section, key, field)
    for section, each in SECTIONS.items()
    for key, field in each["properties"].items()
]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("text", [default_text(), packaged("example.yaml")])
def test_good_files_fit(text: str) -> None:
    Draft202012Validator(schema()).validate(yaml.safe_load(text))


def test_a_broken_file_does_not_fit() -> None:
    assert not Draft202012Validator(schema()).is_valid(yaml.safe_load(packaged("broken.yaml")))


@pytest.mark.parametrize(("section", "key", "field"), FIELDS)
def test_every_field_says_what_it_means(section: str, key: str, field: dict[str, Any]) -> None:
    assert field["description"].endswith(".")
    assert SECTIONS[section]["additionalProperties"] is False


def written_out(section: str) -> dict[str, Any]:
    """Every default of *section* and of the sections in it, as a user would write them."""
    fields = SECTIONS[section]["properties"].items()
    return {key: default(field) for key, field in fields if "default" in field}


def default(field: dict[str, Any]) -> object:
    inner = [each["$ref"] for each in (field, *field.get("anyOf", ())) if "$ref" in each]
    if field["default"] == {} and inner:
        return written_out(inner[0].rpartition("/")[2])
    return field["default"]


def test_written_defaults_are_the_defaults() -> None:
    text = (
        "listeners: [{path: /s}]\n"
        "upstreams: {u: {endpoints: [{url: http://x}], health: {}, load: {}, "
        "admission: {max_in_flight: 1}}}\n"
        "routes: [{upstream: u, split: [{upstream: v, share: 0%}], mirror: {upstream: v}}]\n"
        "policies: {default: {hedge: {}, balance: {}, limits: {client: {concurrency: 1}}}}\n"
    ).replace("upstreams: {", "upstreams: {v: {endpoints: [{url: http://v}]}, ")
    bare = load(text, file="").config
    full = yaml.safe_load(text)
    upstream, route, policy = full["upstreams"]["u"], full["routes"][0], full["policies"]["default"]
    for section, place in (
        ("Listener", full["listeners"][0]),
        ("Endpoint", upstream["endpoints"][0]),
        ("Health", upstream["health"]),
        ("LoadReport", upstream["load"]),
        ("Admission", upstream["admission"]),
        ("Upstream", upstream),
        ("Split", route["split"][0]),
        ("Mirror", route["mirror"]),
        ("Route", route),
        ("Hedge", policy["hedge"]),
        ("Balance", policy["balance"]),
        ("ClientLimits", policy["limits"]["client"]),
        ("Policy", policy),
        ("Config", full),
    ):
        for key, value in written_out(section).items():
            place.setdefault(key, value)
    assert load(yaml.safe_dump(full), file="").config == bare


def test_sections_and_required_keys_are_the_models() -> None:
    assert SECTIONS["Config"]["required"] == ["listeners", "upstreams", "routes"]
    assert list(SECTIONS["Config"]["properties"]) == list(Config.__struct_fields__)


@pytest.mark.parametrize(("kind", "title"), [(Duration, "duration"), (Size, "size")])
def test_units_are_examples_of_themselves(kind: type[Duration | Size | Share], title: str) -> None:
    units = [field for _, _, field in FIELDS if field.get("title") == title]
    assert units
    for field in units:
        for text in (
            *field["examples"],
            field.get("default", field["examples"][0]),
        ):
            assert Draft202012Validator(field).is_valid(text)
            assert kind(text) >= 0
