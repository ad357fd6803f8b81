from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from sidecar.config.defaults import default_text, packaged
from sidecar.config.load import load
from sidecar.config.model import Config
from sidecar.config.schema import schema
from sidecar.config.units import Duration, Size

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


def test_written_defaults_are_the_defaults() -> None:
    text = (
        "listeners: [{path: /s}]\nupstreams: {u: {endpoints: [{url: http://x}]}}\n"
        "routes: [{upstream: u}]\npolicies: {default: {}}\n"
    )
    bare = load(text, file="").config
    full = yaml.safe_load(text)
    for section, place in (
        ("Listener", full["listeners"][0]),
        ("Upstream", full["upstreams"]["u"]),
        ("Route", full["routes"][0]),
        ("Policy", full["policies"]["default"]),
        ("Config", full),
    ):
        for key, field in SECTIONS[section]["properties"].items():
            if "default" in field:
                place.setdefault(key, field["default"])
    for section, place in (
        ("Limits", full["listeners"][0]["limits"]),
        ("Pool", full["upstreams"]["u"]["pool"]),
        ("Timeouts", full["policies"]["default"]["timeouts"]),
        ("Admin", full["admin"]),
        ("AccessLog", full["access_log"]),
    ):
        place |= {
            k: f["default"] for k, f in SECTIONS[section]["properties"].items() if "default" in f
        }
    assert load(yaml.safe_dump(full), file="").config == bare


def test_sections_and_required_keys_are_the_models() -> None:
    assert SECTIONS["Config"]["required"] == ["listeners", "upstreams", "routes"]
    assert list(SECTIONS["Config"]["properties"]) == list(Config.__struct_fields__)


@pytest.mark.parametrize(("kind", "title"), [(Duration, "duration"), (Size, "size")])
def test_units_are_examples_of_themselves(kind: type[Duration | Size], title: str) -> None:
    units = [field for _, _, field in FIELDS if field.get("title") == title]
    assert units
    for field in units:
        for text in (
            *field["examples"],
            field.get("default", "1s" if title == "duration" else "1B"),
        ):
            assert Draft202012Validator(field).is_valid(text)
            assert kind(text) >= 0
