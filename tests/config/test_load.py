import subprocess
import sys

import pytest

from sidecar.config.load import ConfigErrors, Loaded, load
from sidecar.config.model import Config, Credentials
from sidecar.config.model.units import Duration
from sidecar.config.problems import MAX_SHOWN
from sidecar.config.read.references import Kind

GOOD = """\
listeners: [{address: "127.0.0.1:14001"}]
upstreams:
  openai: {endpoints: [{url: "https://api.openai.com"}]}
  glm: {endpoints: [{dns: "http://glm:8000"}]}
routes:
  - {match: {path: /glm}, upstream: glm}
  - {match: {path: /v1}, upstream: openai}
policies: {patient: {}}
"""
LISTENERS, OPENAI, GLM, GLM_ROUTE, ROUTE, POLICIES = 1, 3, 4, 6, 7, 8
"""Lines."""


def resolve(kind: Kind, name: str) -> str:
    known = {
        "KEY": "sk-env",
        "EMPTY": "",
        "SPLIT": "a\r\nx: y",
        "conf/key": "sk-file\n",
        "conf/ca": "",
    }
    if name not in known:
        raise LookupError(name)
    return known[name]


def loaded(text: str) -> Loaded:
    return load(text, file="conf/sidecar.yaml", resolve=resolve)


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        loaded(text)
    told = str(caught.value).splitlines()
    assert len(told) == len(caught.value.errors)
    return [line.removeprefix("conf/sidecar.yaml:") for line in told]


def changed(line: int, old: str, new: str) -> str:
    lines = GOOD.splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    return "\n".join(lines)


def test_a_good_file() -> None:
    config = loaded(GOOD).config
    assert config.listeners[0].address == "127.0.0.1:14001"
    assert config.listeners[0].keep_alive == Duration("1h")
    assert config.listeners[0].limits.header == 16 * 1024
    assert [route.upstream for route in config.routes] == ["glm", "openai"]
    assert config.upstreams["glm"].endpoints[0].dns == "http://glm:8000"


MISTAKES = {
    (LISTENERS, "listeners"): [
        ('"127.0.0.1:14001"', "8080", "[0].address: expected a string or null: put"),
        ("127.0.0.1:14001", "127.0.0.1", "[0].address: expected HOST:PORT"),
        ("address", "adress", '[0].adress: unknown key (did you mean "address"?)'),
        ("}]", ", path: /s}]", "[0]: expected exactly one of address, path"),
        ('address: "127.0.0.1:14001"', "", "[0]: expected exactly one of address"),
        ("14001", "14010", "[0].address: the same as admin.address"),
        ("}]", "}, {address: '127.0.0.1:14001'}]", "[1].address: the same as listeners[0].address"),
        ("}]", "}, {path: /a, mode: capture}]", "[1].path: mode capture needs an `address`"),
        ("}]", "}, {path: /a}, {path: /a}]", "[2].path: the same as listeners[1].path"),
        ('[{address: "127.0.0.1:14001"}]', "[]", ": must not be empty"),
        ("}]", ", mode: revers}]", '[0].mode: unknown value (did you mean "reverse"?)'),
        ("}]", ", keep_alive: 0s}]", "[0].keep_alive: must be more than zero"),
        ("}]", ", limits: {header: 2GiB}}]", "[0].limits.header: expected at most 1MiB"),
        ("}]", ", max_connections: 0}]", "[0].max_connections: expected a whole number"),
        ("}]", ", max_connections: 5.0}]", "[0].max_connections: expected a whole number"),
        ("}]", ", max_connections: yes}]", "[0].max_connections: YAML reads this differently"),
    ],
    (OPENAI, "upstreams.openai"): [
        ("https:", "ftp:", ".endpoints[0].url: expected a URL"),
        ("url:", "uri:", '.endpoints[0].uri: unknown key (did you mean "url"?)'),
        ('{url: "https://api.openai.com"}', "", ".endpoints: must not be empty"),
        ('"}]', '"}, {url: "https://api.openai.com"}]', ".endpoints[1]: duplicate end"),
        ('"}]', '", dns: "http://x"}]', ".endpoints[0]: expected exactly one of url"),
        (
            "https://api", "https://{x}",
            "~routes[1].match: host or path must capture {x}: a URL of up",
        ),
        ("]}", "], dialect: opnai}", '.dialect: unknown value (did you mean "openai"'),
        ("]}", "], dialect: 5}", ".dialect: unknown value; expected one of anthropic"),
        ("]}", "], dns_refresh: 5}", ".dns_refresh: expected a duration like 250ms"),
        ("]}", "], tls: {key: key}}", ".tls.key: `cert` is missing"),
        ("]}", "], tls: {ca: gone}}", ".tls.ca: the file is not set"),
        ("]}", "], tls: {server_name: 'a b'}}", ".tls.server_name: expected a host"),
        ("]}", "], pool: []}", ".pool: expected a mapping (`key: value`), not a list"),
        ("]}", "], pool: }", ".pool: expected a mapping (`key: value`), not nothing"),
        ("]}", "], credentials: {header: x}}", ".credentials.value: missing; expected"),
        ("]}", "], credentials: x}", ".credentials: unknown value"),
        ("]}", "], credentials: []}", ".credentials:"),
        ("]}", "], credentials: [{header: x}]}", ".credentials[0].value: missing; expected"),
        (
            "]}", "], credentials: [{header: x, value: a, weight: 0}]}",
            ".credentials[0].weight: expected",
        ),
        (
            "]}", "], credentials: [{header: Host, value: x}]}",
            ".credentials[0].header: this header controls framing",
        ),
        (
            "]}", "], credentials: [{header: x, value: '${env:SPLIT}'}]}",
            ".credentials[0].value: has a line break",
        ),
        (
            "]}", "], credentials: [{header: x, value: a}, {header: x, value: a}]}",
            ".credentials[1].value: the value of an earlier key",
        ),
        (
            "]}", "], credentials: [{header: x, value: a, name: key-2}, {header: x, value: b}]}",
            ".credentials[1].name: the name of an earlier key",
        ),
        (
            "]}", "], credentials: {header: Host, value: x}}",
            ".credentials.header: this header controls framing",
        ),
        (
            "]}", "], credentials: {header: x, value: 5}}",
            ".credentials.value: expected a string: put it in quotes",
        ),
        (
            "]}", "], credentials: {header: x, value: 'Bearer ${env:EMPTY}'}}",
            ".credentials.value: empty, or white space at an end",
        ),
        (
            "]}", "], credentials: {header: x, value: '${env:SPLIT}'}}",
            ".credentials.value: has a line break",
        ),
        (
            "]}", "], credentials: {header: x, value: '${env:GONE}'}}",
            ".credentials.value: environment variable GONE is not set",
        ),
    ],
    (ROUTE, "routes[1]"): [
        ("openai", "opnai", '.upstream: no such upstream (did you mean "openai"?)'),
        ("openai", "zzz", ".upstream: no such upstream; expected one of openai, glm"),
        ("upstream", "upstrem", '.upstrem: unknown key (did you mean "upstream"?)'),
        (", upstream: openai", "", ".upstream: missing; expected a string"),
        ("openai}", "openai, policy: patiend}", '.policy: no such policy (did you mean "patient"'),
        ("/v1", "v1", ".match.path: must start with /"),
        ("/v1", "/glm/x", ": never matches: routes[0] on line 6 matches all its calls first"),
        ("/v1", "'/{a}/{a}'", ".match: captures {a} twice"),
        ("path: /v1", "host: X.com", ".match.host: expected lower case"),
        ("path: /v1", "method: post", ".match.method: expected a method in capitals"),
        ("path: /v1", "model: no", ".match.model: YAML reads this differently"),
        ("path: /v1", "model: 4", ".match.model: expected a string or null: put it in quotes"),
        ("path: /v1", "headers: {'a b': x}", '.match.headers."a b": expected a header name'),
        ("path: /v1", "headers: {a: true}", ".match.headers.a: expected a string: put it in"),
        ("path: /v1", 'headers: {a: "x\\n"}', ".match.headers.a: expected 1 to 256 printable"),
        ("path: /v1", "headers: {a: x, A: y}", ".match.headers: duplicate header"),
        ("openai}", "openai, rewrite: x}", ".rewrite: must start with /"),
        ("match: {path: /v1}", "rewrite: /", ".rewrite: needs `match.path`"),
        ("match: {path: /v1}", "match: []", ".match: expected a mapping"),
    ],
    (POLICIES, "policies.patient"): [
        ("{}", "{hold: 8}", ".hold: expected a size like 512B, 64KiB, 8MiB"),
        ("patient", "a b", '~policies."a b": not a name: Letters, digits'),
        ("{}", "{hold: 8GiB}", ".hold: expected at most 1GiB"),
        ("{}", "{timeouts: {idle: 0s}}", ".timeouts.idle: must be more than zero"),
        ("{}", "{timeouts: {total: 5}}", ".timeouts.total: expected a duration like"),
        ("{}", "{timeouts: {conect: 5s}}", ".timeouts.conect: unknown key (did you"),
        (
            "policies: {patient: {}}", "policy: {}",
            '~policy: unknown key (did you mean "policies"?)',
        ),
        (
            "policies: {patient: {}}", "drain: ",
            "~drain: expected a duration like 250ms, 2s, 5m, 1h, n",
        ),
        (
            "policies: {patient: {}}", "admin: {address: '0.0.0.0:1'}",
            "~admin.address: must be a loop",
        ),
        (
            "policies: {patient: {}}", "log_level: warn",
            '~log_level: unknown value (did you mean "warn',
        ),
        ("policies: {patient: {}}", "routes: []", "~routes: duplicate key, first on line 5"),
    ],
}  # fmt: skip
"""What is changed in a line, and the error: after the given key, or after `~` with its own key."""
CASES = [
    (line, old, new, told[1:] if told[0] == "~" else key + told)
    for (line, key), mistakes in MISTAKES.items()
    for old, new, told in mistakes
]


@pytest.mark.parametrize(("line", "old", "new", "told"), CASES)
def test_one_mistake_is_one_error(line: int, old: str, new: str, told: str) -> None:
    (error,) = errors(changed(line, old, new))
    assert error.startswith((f"{line}: {told}", f"{ROUTE}: {told}"))


ALLOWED = [
    (LISTENERS, "14001", "0"),
    (LISTENERS, "}]", "}, {path: /run/s.sock}, {address: '[::1]:14001'}]"),
    (LISTENERS, "}]", ", limits: {body: 0B}}]"),
    (OPENAI, "]}", "], tls: {cert: key}}"),
    (OPENAI, "]}", "], credentials: {header: x-api-key, value: '${env:KEY}'}}"),
    (OPENAI, "]}", "], credentials: null}"),
    (OPENAI, "https://api", "https://api.${env:KEY}"),
    (ROUTE, "/v1", "/"),
    (ROUTE, "openai}", "openai, policy: default, rewrite: /, name: all}"),
    (POLICIES, "{}", "{hold: 0B, timeouts: {total: null, first_byte: 1ms}}"),
    (POLICIES, "policies: {patient: {}}", "policies: {default: {}}"),
    (POLICIES, "policies: {patient: {}}", "drain: 0s"),
    (POLICIES, "policies: {patient: {}}", "admin: {address: null, health: '0.0.0.0:14010'}"),
    (POLICIES, "policies: {patient: {}}", "access_log: {path: null}"),
]


@pytest.mark.parametrize(("line", "old", "new"), ALLOWED)
def test_allowed(line: int, old: str, new: str) -> None:
    assert isinstance(loaded(changed(line, old, new)).config, Config)


def test_names_of_routes_stand_once() -> None:
    text = GOOD.replace("upstream: glm", "upstream: glm, name: x").replace(
        "upstream: openai", "upstream: openai, name: x"
    )
    assert errors(text) == ["7: routes[1].name: the same as routes[0].name"]


def test_a_capture_may_come_from_host_or_path() -> None:
    text = GOOD.replace("https://api", "https://{a}.{b}").replace(
        "{path: /v1}", '{host: "{a}.x.com", path: "/{b}"}'
    )
    assert loaded(text).config.upstreams["openai"].endpoints[0].url == "https://{a}.{b}.openai.com"


def test_all_errors_come_at_once_in_the_order_of_their_lines() -> None:
    text = GOOD.replace("14001", "no").replace("openai}", "opnai, x: 1}").replace("{}", "{hold: 1}")
    assert [error.partition(":")[0] for error in errors(text)] == ["1", "7", "7", "8"]


def test_an_empty_file_says_what_is_needed() -> None:
    assert errors("") == [
        "1: the file is empty",
        "1: listeners: missing; expected a list (`- item`)",
        "1: upstreams: missing; expected a mapping (`key: value`)",
        "1: routes: missing; expected a list (`- item`)",
    ]


@pytest.mark.parametrize("key", ["listeners", "upstreams", "routes", "policies"])
def test_a_misspelt_key_at_the_top(key: str) -> None:
    told = "\n".join(errors(GOOD.replace(f"{key}:", f"{key}s:")))
    assert f': {key}s: unknown key (did you mean "{key}"?)' in told


@pytest.mark.parametrize("text", ["5", "- a", "x"])
def test_a_file_that_is_no_mapping(text: str) -> None:
    (error,) = errors(text)
    assert error.startswith("1: expected a mapping")


def test_the_number_of_errors_is_bounded() -> None:
    told = errors(GOOD + "".join(f"k{n}: 1\n" for n in range(5000)))
    assert len(told) == MAX_SHOWN + 1
    assert told[-1].endswith("more errors are not shown")


@pytest.mark.parametrize(("version", "quotes"), [("1.41", ": put it in quotes"), ("1.42", "")])
def test_a_number_that_must_be_a_text_is_told_so(version: str, quotes: str) -> None:
    (error,) = errors(GOOD + f"metrics: {{semconv: {version}}}\n")
    assert error.endswith(f"metrics.semconv: expected one of 1.41, latest or null{quotes}")
    assert loaded(GOOD + 'metrics: {semconv: "1.41"}\n').config.metrics.semconv == "1.41"


def test_keys_are_shown_on_one_line() -> None:
    (error,) = errors(GOOD + '"a\\nb\\u2028": 1\n')
    assert error == (
        '9: "a\\nb\\u2028": unknown key; expected one of listeners, upstreams, routes, policies, '
        "tasks, prices, budgets, intercept, buffers, access_log, ..."
    )


def test_references_and_what_is_shown() -> None:
    text = GOOD.replace(
        "openai: {", "openai: {credentials: {header: x, value: 'Bearer ${file:key}'}, "
    ).replace("glm: {", "glm: {tls: {ca: ca}, credentials: {header: x, value: sk-literal}, ")
    result = loaded(text)
    credentials = result.config.upstreams["openai"].credentials
    assert isinstance(credentials, Credentials)
    assert credentials.value == "Bearer sk-file"
    assert result.config.upstreams["glm"].tls.ca == "conf/ca"
    assert result.files == {"conf/key", "conf/ca"}
    assert isinstance(result.shown, dict)
    assert result.shown["upstreams"]["openai"]["credentials"]["value"] == "Bearer ${file:key}"
    assert result.shown["upstreams"]["glm"]["credentials"]["value"] == "***"
    assert result.shown["upstreams"]["glm"]["tls"] == {"ca": "ca"}
    assert "sk-" not in repr(result)


def test_the_hash_is_of_the_text_and_of_what_it_refers_to() -> None:
    text = GOOD.replace("openai: {", "openai: {credentials: {header: x, value: '${env:KEY}'}, ")
    first = loaded(text).hash
    assert loaded(text).hash == first
    assert loaded(text + "# comment").hash != first
    assert load(text, file="conf/sidecar.yaml", resolve=lambda kind, name: "other").hash != first


def test_success_imports_neither_jsonschema_nor_difflib() -> None:
    code = (
        "import sys; from sidecar.config.load import load; "
        "from sidecar.config.defaults import default_text; load(default_text(), file=''); "
        "print(sorted({'jsonschema', 'difflib', 'asyncio'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
