import re
from pathlib import Path

from sidecar.config.defaults import packaged
from sidecar.config.load import load
from sidecar.config.model import Config
from sidecar.config.read.references import Kind
from sidecar.config.reference import reference
from sidecar.config.schema import schema

DOCS = Path(__file__).parents[2] / "docs"
AGAIN = "run: python -m sidecar.config.reference > docs/configuration.md"


def resolve(kind: Kind, name: str) -> str:
    return "text"


def test_the_page_is_what_the_code_says() -> None:
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == reference(), AGAIN


def test_the_page_has_every_key() -> None:
    text = reference()
    for section in schema()["$defs"].values():
        for key in section["properties"]:
            assert f"| `{key}` |" in text
    assert not re.search(r"@\w+@", text)


def test_the_example_is_loaded_and_uses_every_section() -> None:
    text = packaged("example.yaml")
    config = load(text, file="sidecar.yaml", resolve=resolve).config
    assert isinstance(config, Config)
    for key in Config.__struct_fields__:
        assert re.search(rf"^{key}:", text, re.MULTILINE)


def test_links_within_the_page_lead_somewhere() -> None:
    text = reference()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings
    }
    links = re.findall(r"\]\(#([^)]*)\)", text)
    assert links
    assert set(links) <= anchors
