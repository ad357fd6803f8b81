"""The documents against the code: links, commands, and every table of names."""

import argparse
import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar import cli, environment, errors
from sidecar.config.load import load
from sidecar.config.read.references import Kind
from sidecar.control.exporter import Exporter
from sidecar.control.pages import admin_pages, page_at
from sidecar.llm.usage import Usage
from sidecar.observe.record import CallRecord
from sidecar.observe.reload_stats import SourceStats
from sidecar.observe.stats import EndpointStats, ListenerStats, RouteStats, Stats
from sidecar.observe.store_stats import ExchangeStats, StoreStats
from sidecar.options import add_run_arguments
from sidecar.policy.admission import Admission, AdmissionSettings
from sidecar.policy.key_pool import KeyPool, KeySettings
from sidecar.policy.spending import BudgetSettings, Spending
from sidecar.policy.token_limits import TokenLimits, TokenSettings
from sidecar.proxy.body.memory import BodyMemory
from sidecar.proxy.layers.budgets import Budget
from sidecar.proxy.layers.keeps import Memory
from sidecar.proxy.layers.turns import Quota
from sidecar.store.book import Book
from sidecar.store.journal import Journal

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = [page for page in PAGES if page.name != "configuration.md"]  # which has its own tests
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PARTS = {"calls", "policies", "store", "tasks", "tracing", "upstreams"}
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, *languages: str) -> list[str]:
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for language, text in found if language in languages]


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table under *heading*, without its head."""
    section = re.split(r"^## ", read(page), flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(heading + "\n"))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        base = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        slug, count = base, 0
        while slug in found:
            count += 1
            slug = f"{base}-{count}"
        found.add(slug)
    return found


# -- links --


@EVERY_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


PATH = re.compile(r"`((?:sidecar|tests|docs|charts|bench)/[^`\s]*)`")


def test_files_that_a_newcomer_is_sent_to_exist() -> None:
    page = read("docs/where-would-i-put.md")
    named = PATH.findall(page)
    assert [path for path in named if not (ROOT / path).exists()] == []
    answers = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    assert len(answers) >= 10
    assert [answer.splitlines()[0] for answer in answers if not PATH.search(answer)] == []


def test_names_that_a_newcomer_is_told_stand_in_the_files() -> None:
    for answer in re.split(r"^## ", read("docs/where-would-i-put.md"), flags=re.MULTILINE)[1:]:
        paths = [ROOT / path for path in PATH.findall(answer)]
        files = [
            each for path in paths for each in (path.glob("*.py") if path.is_dir() else [path])
        ]
        code = "\n".join(file.read_text(encoding="utf-8") for file in files)
        for name in re.findall(r"`(_?[A-Z]\w+|[a-z]+_[a-z_]+)`", answer):
            assert re.search(rf"\b{name}\b", code), f"{name} ({answer.splitlines()[0]})"


# -- commands --


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", read("Makefile"), re.MULTILINE))


def subcommands() -> set[str]:
    (action,) = (
        each for each in cli.whole_parser()._actions if isinstance(each, argparse._SubParsersAction)
    )
    return set(action.choices)


def test_the_table_of_commands_has_them_all() -> None:
    commands = [row[0].strip("`").split()[:2] for row in rows("README.md", "Commands")]
    assert {name for tool, name in commands if tool == "make"} == targets()
    assert {name for tool, name in commands if tool == "sidecar"} == subcommands()


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_shown_commands_are_right(page: Path) -> None:
    lines = re.findall(
        r"^(?:\$ |ExecStart\w*=)?(\S*\b(?:make|sidecar) .+)$",
        "\n".join(blocks(page, "sh", "text", "ini")),
        re.MULTILINE,
    )
    for line in lines:
        tool, *arguments = shlex.split(line, comments=True)
        if tool == "make":
            assert {each for each in arguments if "=" not in each} <= targets(), line
        else:
            parsed = cli._parser(arguments[:1]).parse_args(arguments)
            assert parsed.command, line


def of_system(kind: Kind, name: str) -> str:
    return f"text of {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_whole_configurations_are_good(page: Path) -> None:
    shown = [text for text in blocks(page, "yaml") if re.search("^listeners:", text, re.MULTILINE)]
    if page.name == "configuration.md":
        shown.pop()  # the broken one
    for text in shown:
        load(text, file="sidecar.yaml", resolve=of_system)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_parts_of_configurations_are_good(page: Path) -> None:
    rest = {
        "listeners": '[{address: "127.0.0.1:1"}]',
        "upstreams": '{u: {endpoints: [{url: "http://a"}]}}',
    }
    for text in blocks(page, "yaml"):
        keys = re.findall(r"^(\w+):", text, re.MULTILINE)
        if "listeners" in keys or not set(keys) & PARTS:
            continue
        known = re.search(r"^upstreams:\n? *\{?(\w+):", text, re.MULTILINE)
        rest["routes"] = f"[{{upstream: {known[1] if known else 'u'}}}]"
        more = "".join(f"{key}: {value}\n" for key, value in rest.items() if key not in keys)
        load(text + more, file="sidecar.yaml", resolve=of_system)


# -- tables of names --


def test_the_table_of_pages_is_the_admin_servers() -> None:
    documented = {row[0].strip("`"): row[1] for row in rows("docs/operations.md", "Admin API")}
    assert documented == {
        path: ", ".join(method for method in page.methods() if method != "HEAD")
        for path, page in admin_pages().items()
    }


def test_the_table_of_metrics_is_what_is_exported() -> None:
    documented = {
        row[0].strip("`"): (row[1], frozenset(filter(None, row[2].split(", "))))
        for row in rows("docs/operations.md", "Metrics")
    }
    assert documented == dict(exported())


def exported() -> Iterator[tuple[str, tuple[str, frozenset[str]]]]:
    body, _ = Exporter(busy_stats()).render("text/plain;version=0.0.4")
    for family in text_string_to_metric_families(body.decode()):
        if family.name.startswith("sidecar_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = frozenset().union(*(sample.labels for sample in family.samples))
            yield name, (family.type, labels - {"le"})


class NoBook(Book):
    """One without a ledger."""

    def __init__(self) -> None:
        self.spending = Spending({}, 1)
        self._writer = None
        self._journal = Journal("")
        self._errors = 0


def busy_stats() -> Stats:
    """Something of everything, so that every label shows."""
    stats = Stats(0.0)
    stats.body_memory = BodyMemory(1, 1.0)
    stats.spans.dropped["x"] = stats.spans.failed["x"] = 1
    stats.sources = [SourceStats("s")]
    route = stats.routes["r", "u"] = RouteStats()
    route.statuses[200] = route.errors["x"] = 1
    route.retries["x"] = route.fallbacks["x"] = route.mirrored["x"] = route.limited["x"] = 1
    route.shaped["x"] = route.redacted["x"] = route.stateful["x"] = 1
    route.resumes["x"] = 1
    route.hinted["x"] = route.rules["x"] = 1
    route.cache["hit"] = 1
    stats.cache = Memory(1)
    route.verdicts["complete"] = 1
    route.failures["x"] = 1
    route.models.asked_for("m", answered=True).outcomes["ok"] = 1
    route.models.spent_by("m", "").input = 1
    stats.store = StoreStats()
    stats.store.results["hit"] = 1
    stats.exchange = ExchangeStats()
    stats.exchange.results["answered"] = 1
    route.saved.add("joined", Usage(input=1, output=1), 1.0)
    route.batched.ended["answered"] = 1
    endpoint = stats.endpoints["u", "e"] = EndpointStats()
    endpoint.verdicts["complete"] = 1
    endpoint.attempts[200] = endpoint.errors["x"] = 1
    endpoint.probes["x"] = endpoint.transitions["open"] = 1
    endpoint.breakers["x"] = "open"
    upstream = stats.upstream("u")
    upstream.queue = Admission(AdmissionSettings(1, 1, 1, 1.0, 1.0))
    upstream.keys = KeyPool([KeySettings("k", "v", {})])
    upstream.keys.keys[0].count("ok")
    upstream.panic["x"], upstream.ejected["x"], upstream.shed["x"] = True, [], 1
    stats.tasks["t"]["ok"] = 1
    stats.quotas["q"] = Quota("q")
    stats.budgets["b"] = Budget(BudgetSettings("b", "tokens", 1.0, "day"), NoBook())
    stats.token_limits["r", "u"] = TokenLimits(TokenSettings())
    stats.listeners["l"] = ListenerStats()
    stats.listeners["l"].denied["x"] = 1
    stats.listeners["l"].handshakes["ok"] += 1
    stats.listeners["l"].refused[400] = stats.listeners["l"].decisions["x"] = 1
    return stats


def test_the_table_of_log_fields_is_the_record() -> None:
    documented = [row[0].strip("`") for row in rows("docs/operations.md", "Access log")]
    assert documented == list(CallRecord.__struct_fields__)


def test_the_table_of_errors_is_what_the_code_raises() -> None:
    documented = {
        row[0].strip("`"): set(map(int, re.findall(r"\d{3}", row[1])))
        for row in rows("docs/operations.md", "Errors")
    }
    raised: dict[str, set[int]] = {}
    for file in sorted((ROOT / "sidecar").rglob("*.py")):
        for code, status in raised_in(ast.parse(file.read_text(encoding="utf-8"))):
            raised.setdefault(code, set()).add(status)
    for unsent in (errors.CallerLeft, errors.CutOff):
        raised[unsent.code].clear()  # there is nobody to send it to
    assert documented == raised


def raised_in(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Code and status of each error that *module* makes."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            kind = getattr(errors, node.func.id, None)
            if isinstance(kind, type) and issubclass(kind, errors.CallError):
                yield from made(kind, {each.arg: each.value for each in node.keywords})


def made(
    kind: type[errors.CallError], keywords: dict[str | None, ast.expr]
) -> Iterator[tuple[str, int]]:
    code, status = keywords.get("code"), keywords.get("status")
    number = ast.literal_eval(status) if status else kind.status
    if isinstance(code, ast.JoinedStr):
        assert ast.unparse(code) == "f'{due.name}_timeout'", "name what this may become, below"
        yield from (("connect_timeout", number), ("total_timeout", number))
    else:
        yield ast.literal_eval(code) if code else kind.code, number


def test_the_table_of_variables_has_them_all() -> None:
    table = rows("docs/operations.md", "Options and variables")
    assert [row[0].strip("`") for row in table] == list(environment.VARIABLES)
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    options = {option for action in parser._actions for option in action.option_strings}
    documented = {option.strip("`") for row in table for option in row[1].split(", ") if option}
    assert documented == options - {"-h", "--help"}


@pytest.mark.parametrize("table", ["Metrics", "Access log", "Errors", "Admin API"])
def test_no_row_stands_twice(table: str) -> None:
    found = [row[0] for row in rows("docs/operations.md", table)]
    assert len(found) == len(set(found))


ASKED = re.compile(r"(?:127\.0\.0\.1|localhost):14010(/[\w/-]*)")


def test_admin_pages_that_are_asked_for_are_there() -> None:
    """In code and in text, of all documents."""
    asked = {path for page in PAGES for path in ASKED.findall(page.read_text(encoding="utf-8"))}
    assert len(asked) > 10
    assert {path for path in asked if page_at(path, admin_pages()) is None} == set()
