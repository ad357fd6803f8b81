"""What a configuration may say, but hardly means."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from sidecar.config.check.warnings import Whole, doubtful
from sidecar.config.load import load
from sidecar.config.read.references import Kind, nothing

ROOT = Path(__file__).parents[3]
TWO = """listeners: [{address: "127.0.0.1:0"}]
upstreams:
  a: {endpoints: [{url: http://a}]}
  b: {endpoints: [{url: http://b}], credentials: %s}
routes:
  - upstream: a
    %s
"""


def told(text: str) -> list[str]:
    found = load(text, file="f.yaml", resolve=lambda kind, name: "text").warnings
    assert not any(warning.suggestion for warning in found)
    return [str(warning) for warning in found]


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ("fallback: [{upstream: b}]", "fallback[0]"),
        ("fallback: [{upstream: a, model: x}, {upstream: b}]", "fallback[1]"),
        ("split: [{upstream: b, share: 5%}]", "split[0]"),
        ("mirror: {upstream: b}", "mirror"),
    ],
)
def test_another_upstream_without_keys(extra: str, key: str) -> None:
    (warning,) = told(TWO % ("null", extra))
    assert warning.startswith(f"f.yaml:7: routes[0].{key}.upstream: b gets no keys")
    for said in ("forward", "drop", "{header: x-api-key, value: x}"):
        assert told(TWO % (said, extra)) == []


ONE = """listeners: [{address: "127.0.0.1:0"}]
upstreams:
  a: {endpoints: [{url: "http://a/v1"}]}
routes:
  - {upstream: a}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{upstream: a}", "{upstream: a, match: {path: '/v2/*'}}",
         "5: routes[0].match.path: `*` is not special here"),
        ("{upstream: a}", "{upstream: a, match: {path: /v1/chat}}",
         "5: routes[0].match.path: calls are sent to /v1/v1/...: an endpoint of a has"),
        ("{upstream: a}", "{upstream: a, match: {model: '^o[13].*'}}",
         "5: routes[0].match.model: is a glob"),
        ("{upstream: a}", "{upstream: a, match: {headers: {x-a: 'a|b'}}}",
         "5: routes[0].match.headers.x-a: is a glob"),
        ("{upstream: a}", "{upstream: a, policy: {timeouts: {first_byte: 5s, total: 2s}}}",
         "5: routes[0].policy.timeouts.first_byte: has no effect: `total` ends the call before"),
        ("/v1\"}]", "/v1\"}], tls: {server_name: x}", "3: upstreams.a.tls: has no effect"),
        ("/v1\"}]", "/v1\"}], credentials: {header: x, value: 'Bearer $OPENAI_KEY'}",
         "3: upstreams.a.credentials.value: `$` is an ordinary character here"),
        ("/v1\"}]", "/v1\"}], credentials: [{header: x, value: 'Bearer $OPENAI_KEY'}]",
         "3: upstreams.a.credentials[0].value: `$` is an ordinary character here"),
        ("  a:", "  b: {endpoints: [{url: http://b}]}\n  a:", "3: upstreams.b: no route uses"),
        ("routes:", "policies: {p: {}}\nroutes:", "4: policies.p: nothing uses this policy"),
        ("routes:", "tracing: {sample: 5%}\nroutes:", "4: tracing: has no effect"),
        ("routes:", "tracing: {endpoint: 'http://c:4317'}\nroutes:",
         "4: tracing.endpoint: 4317 is the port of OTLP over gRPC; over HTTP it is 4318"),
        ("routes:", "tracing: {endpoint: 'http://c', tls: {server_name: x}}\nroutes:",
         "4: tracing.tls: has no effect: `endpoint` is not https"),
        ("routes:", "tracing: {endpoint: 'http://c', headers: {a: $OPENAI_KEY}}\nroutes:",
         "4: tracing.headers.a: `$` is an ordinary character here"),
    ],
)  # fmt: skip
def test_what_is_hardly_meant(old: str, new: str, expected: str) -> None:
    assert told(ONE) == []
    (warning,) = told(ONE.replace(old, new, 1))
    assert warning.startswith(f"f.yaml:{expected}")
    assert "OPENAI_KEY" not in warning


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{upstream: a}", "{upstream: a, match: {path: /v1/}, rewrite: /}"),
        ("{upstream: a}", "{upstream: a, match: {path: /w2/}}"),
        ("{upstream: a}", "{upstream: a, match: {model: 'gpt-4.*'}}"),
        ("{upstream: a}", "{upstream: a, policy: {timeouts: {first_byte: 2s, total: 2s}}}"),
        ('http://a/v1"}]', 'https://a/v1"}], tls: {server_name: x}'),
        ('/v1"}]', "/v1\"}], credentials: {header: x, value: 'Bearer ${env:KEY}'}"),
        ("{upstream: a}", "{upstream: a, policy: p}\npolicies: {p: {}}"),
        ('0"}]', '0", trust: {headers: true}}]\npolicies: {p: {}}'),
    ],
)
def test_what_is_meant(old: str, new: str) -> None:
    assert old in ONE
    assert told(ONE.replace(old, new, 1)) == []


WIDE = """listeners: [{address: "127.0.0.1:14001"}]
upstreams:
  a: {endpoints: [{url: "http://a:8000"}], admission: {max_in_flight: 5}}
  b: {endpoints: [{url: "https://b:8443"}], credentials: {header: authorization, value: %s}}
routes:
  - {match: {path: /a}, upstream: a, policy: p, %s}
  - {match: {path: /b}, upstream: b, policy: q, %s}
policies:
  default: {%s}
  p: {%s}
  q: {%s}
%s
"""


@pytest.mark.parametrize(
    "places",
    [
        # Values: of local servers, and such as only look like a stand-in.
        {0: "Bearer EMPTY"}, {0: "Bearer none"},
        {0: "Basic dXNlcjpwYXNz"}, {0: "'Bearer ${file:k}'"}, {0: "'Bearer ${env:A}-${env:B}'"},
        # What one place overrules, another needs.
        {3: "timeouts: {first_byte: 60s}", 4: "timeouts: {total: 30s}"},
        {3: "timeouts: {idle: 5m}", 5: "timeouts: {total: 30s}"},
        {3: "priority: high"},
        {3: "retry: {on: ['429'], backoff: {cap: 1s}}", 4: "retry: {max: 0}"},
        {3: "hedge: {after: 2s}", 4: "timeouts: {first_byte: 1s}"},
        {3: "gate: {wait: 2s}", 5: "read: false"},
        {3: "limits: {tokens: {total: 5, when_exceeded: fallback}}",
         1: "fallback: [{upstream: a, model: x}]"},
        # Bounds that meet.
        {4: "timeouts: {first_byte: 30s, total: 30s, idle: 30s}"},
        {4: "timeouts: {first_byte: 50ms}"}, {4: "timeouts: {total: 31s}, hedge: {after: 30s}"},
        {4: "retry: {max: 0}"}, {4: "retry: {budget: {ratio: 0%}}"},
        {4: "retry: {on: ['408', '409', '429', '5xx']}"},
        {1: "fallback_on: ['401', '404'], fallback: [{upstream: a, model: x}]"},
        {1: "split: [{upstream: a, model: x, share: 5%}], fallback: [{upstream: a}]"},
        # The rest.
        {6: "prices: {'gpt-4.*': {input: 1, output: 1}, 'gpt-*': {input: 2, output: 2}}"},
        {6: "intercept: {publish: /p}"}, {6: "store: {memory: 1MiB}"},
        {6: "prices: {m: {input: 1, output: 1}}\n"
            "budgets: {ledger: /l, limits: {x: {per: day, money: 1, model: 'm*'}}}"},
        {6: "store: {redis: {url: 'redis://r', password: '${env:P}'}}", 3: "cache: {}"},
        {6: "prices: {m: {input: 1, output: 1}}\nstore: {redis: {url: 'redis://r'}}\n"
            "budgets: {ledger: /l, limits: {x: {per: day, money: 1, redis: true}}}"},
        {4: "rules: [{name: r, regex: ['^cost .*[$][0-9]+$'], answer: 'about $X'}]"},
        {4: "redact: {patterns: {ID: '[$]X-[0-9]{4}'}}"},
    ],
)  # fmt: skip
def test_what_is_meant_though_it_looks_otherwise(places: dict[int, str]) -> None:
    texts = ["'Bearer ${env:KEY}'", "model: m", "model: m", *["hold: 8MiB"] * 3, ""]
    for place, text in places.items():
        texts[place] = f"{text}" if place not in (1, 2) else f"model: m, {text}"
    assert told(WIDE % tuple(texts)) == []


def test_no_message_shows_a_key() -> None:
    keys = ("sk-proj-0123456789abcdef", "Bearer Bearer sk-1", "os.environ/SK_1", "'YOUR_SK_KEY'")
    for key in keys:
        (warning,) = told(WIDE % (key, *["model: m"] * 2, *["hold: 8MiB"] * 3, ""))
        assert "sk" not in warning.lower().replace("ask", ""), warning


def test_the_routes_own_upstream_is_not_another() -> None:
    for extra in ("fallback: [{upstream: a, model: x}]", "mirror: {upstream: a}"):
        assert told(TWO % ("null", extra)) == [
            "f.yaml:4: upstreams.b: no route uses this upstream: name it in one, or remove it"
        ]


def shown() -> list[str]:
    """Every configuration in the documents, the chart's examples included."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [
        block
        for page in pages
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        if re.search("^listeners:", block, re.MULTILINE) and "opnai" not in block
    ]
    charts = sorted((ROOT / "charts/llm-sidecar/examples").glob("*.yaml"))
    values = [each for path in charts for each in yaml.safe_load_all(path.read_text("utf-8"))]
    policies = [each["policy"] for each in values if each.get("policy")]
    policies += [
        each["gateway"]["policy"] for each in values if "policy" in each.get("gateway", {})
    ]
    texts = [each if isinstance(each, str) else yaml.safe_dump(each) for each in policies]
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "docs/examples").glob("*.yaml")]
    return [*blocks, *texts, *files]


def of_system(kind: Kind, name: str) -> str:
    return f"the text of {name}"


@pytest.mark.parametrize("text", shown(), ids=range(len(shown())))
def test_no_example_needs_one(text: str) -> None:
    assert load(text, file="f.yaml", resolve=of_system).warnings == ()


@pytest.mark.parametrize("text", shown(), ids=range(len(shown())))
def test_each_example_can_be_checked_where_nothing_of_it_is(text: str) -> None:
    loaded = load(text, file="f.yaml", resolve=nothing, offline=True)
    assert loaded.warnings == ()
    assert len(loaded.unchecked) >= len(set(re.findall(r"\$\{\w+:[^}]+", text)))


def test_without_a_file_there_is_none() -> None:
    text = (ROOT / "sidecar/config/providers.yaml").read_text(encoding="utf-8")
    assert load(text, file="f.yaml", resolve=of_system).warnings == ()


def whole_of(size: int) -> Whole:
    """As many routes, upstreams and prices."""
    text = "\n".join(
        [
            'listeners: [{address: "127.0.0.1:0"}]',
            "upstreams:",
            *(f"  u{n}: {{endpoints: [{{url: http://h{n}}}]}}" for n in range(size)),
            "routes:",
            *(f"  - {{match: {{path: /p{n}}}, upstream: u{n}, policy: p}}" for n in range(size)),
            "policies: {p: {timeouts: {first_byte: 30s, total: 10s}}}",
            "prices:",
            *(f"  m-{n}-*: {{input: 1, output: 1}}" for n in range(size)),
        ]
    )
    loaded = load(text, file="f.yaml")
    return Whole(loaded.config, loaded.effective, yaml.safe_load(text))


def test_the_work_grows_with_the_size_and_not_with_its_square() -> None:
    """The interpreter's lock is held meanwhile, so that calls would wait."""
    spent = []
    for size in (50, 400):
        whole, calls = whole_of(size), 0

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(count)
        try:
            found = list(doubtful(whole))
        finally:
            sys.setprofile(None)
        assert [problem.path[-1] for problem in found] == ["first_byte"]
        spent.append(calls / size)
    # A glob is compared with the beginnings of all before it, which is one step in C for each.
    assert spent[1] < 5 * spent[0]
