"""Which route takes a call: tables of routes, calls, and who gets them."""

import posixpath
import re
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import Match, Secret
from sidecar.errors import BadPath, NotRouted
from sidecar.proxy.routing.router import Candidate, Route, Router, Rule, choose


def router(*matches: Match, rewrite: str | None = None) -> Router:
    """Routes named `0`, `1`, ... in this order."""
    routes = [Route(str(n), *cast("Any", (None,) * 5)) for n in range(len(matches))]
    return Router([Rule(m, rewrite, r) for m, r in zip(matches, routes, strict=True)])


def pick(
    routes: Router,
    path: bytes = b"/",
    host: bytes = b"a",
    method: bytes = b"POST",
    model: str | None = None,
    **fields: bytes,
) -> Candidate:
    headers = {name.encode(): value for name, value in fields.items()}
    return choose(routes.candidates(host, path, method), headers, model)


def takes(match: Match, **call: Any) -> bool:
    try:
        pick(router(match), **call)
    except NotRouted:
        return False
    return True


@pytest.mark.parametrize(
    ("prefix", "path", "taken"),
    [
        ("/v1", b"/v1", True),
        ("/v1", b"/v1/", True),
        ("/v1", b"/v1/chat", True),
        ("/v1", b"/v1x", False),
        ("/v1", b"/", False),
        ("/v1", b"/V1", False),
        ("/v1/", b"/v1", True),
        ("/v1/", b"/v1/chat", True),
        ("/v1/", b"/v1x", False),
        ("/", b"/", True),
        ("/", b"/anything/else", True),
        ("/a.c", b"/abc", False),
        ("/v1/{x}/y", b"/v1/z/y", True),
        ("/v1/{x}/y", b"/v1/z/y/more", True),
        ("/v1/{x}/y", b"/v1//y", False),
        ("/v1/{x}/y", b"/v1/a/b/y", False),
        ("/v1/{x}", b"/v1/a%2fb", False),
        ("/v1/{x}", b"/v1/a.evil.com", False),
        ("/v1/{x}", b"/v1/a@evil", False),
        ("/v1", b"/v1/\xff", True),
        ("/v1", b"*", False),
    ],
)
def test_path(prefix: str, path: bytes, taken: bool) -> None:
    assert takes(Match(path=prefix), path=path) is taken


@pytest.mark.parametrize(
    ("pattern", "host", "taken"),
    [
        ("api.x.com", b"api.x.com", True),
        ("api.x.com", b"api.x.com:8443", True),
        ("api.x.com", b"apiyx.com", False),
        ("api.x.com", b"x.com", False),
        ("api.x.com", b"api.x.com.evil.com", False),
        ("*.x.com", b"api.x.com", True),
        ("*.x.com", b"a.b.x.com", True),
        ("*.x.com", b"x.com", False),
        ("*.x.com", b".x.com", False),
        ("{name}.x.com", b"api.x.com", True),
        ("{name}.x.com", b"a.b.x.com", False),
        ("{name}-api.x.com", b"eu-api.x.com", True),
        ("{name}-api.x.com", b"-api.x.com", False),
        ("[::1]", b"[::1]:80", True),
        ("api.x.com", b"", False),
    ],
)
def test_host(pattern: str, host: bytes, taken: bool) -> None:
    assert takes(Match(host=pattern), host=host) is taken


@pytest.mark.parametrize(
    ("glob", "value", "taken"),
    [
        ("gold", b"gold", True),
        ("gold", b"golden", False),
        ("g*", b"gold", True),
        ("g?ld", b"gold", True),
        ("*", b"", True),
        ("*", None, False),
        ("gold", b"Gold", False),
        ("[ab]", b"a", False),
        ("[ab]", b"[ab]", True),
    ],
)
def test_header(glob: str, value: bytes | None, taken: bool) -> None:
    fields = {} if value is None else {"tier": value}
    assert takes(Match(headers=cast("Any", {"Tier": glob})), **fields) is taken


@pytest.mark.parametrize(
    ("glob", "model", "taken"),
    [
        ("glm-*", "glm-4", True),
        ("glm-*", "glm", False),
        ("glm-?", "glm-4", True),
        ("glm-?", "glm-45", False),
        ("glm-4.5", "glm-4x5", False),
        ("*", "anything", True),
        ("*", None, False),
        ("org/*", "org/model:free", True),
    ],
)
def test_model(glob: str, model: str | None, taken: bool) -> None:
    assert takes(Match(model=glob), model=model) is taken


def test_method() -> None:
    assert takes(Match(method="GET"), method=b"GET")
    assert not takes(Match(method="GET"), method=b"POST")


def test_every_part_must_hold() -> None:
    match = Match(host="a", path="/v1", method="POST", model="m", headers=cast("Any", {"x": "1"}))
    call: dict[str, Any] = {
        "host": b"a",
        "path": b"/v1",
        "method": b"POST",
        "model": "m",
        "x": b"1",
    }
    assert takes(match, **call)
    for part in call:
        other = None if part == "model" else b"*"
        assert not takes(match, **(call | {part: other}))


def test_the_first_that_matches_wins() -> None:
    routes = router(Match(model="glm-*"), Match(path="/v1"), Match(path="/v1/chat"), Match())
    assert pick(routes, b"/v1/chat", model="glm-4").route.name == "0"
    assert pick(routes, b"/v1/chat", model="other").route.name == "1"
    assert pick(routes, b"/v2", model="other").route.name == "3"


def test_what_was_found_once_is_found_again() -> None:
    routes = router(Match(path="/v1"), Match())
    names = [pick(routes, path).route.name for path in (b"/v1", b"/v2") * 3]
    assert names == ["0", "1"] * 3


def test_so_many_paths_are_no_matter() -> None:
    routes = router(Match(path="/v1"), Match())
    for number in range(3000):
        assert pick(routes, b"/v1/%d" % number).route.name == "0"
        assert pick(routes, b"/%d" % number).route.name == "1"
    assert len(routes._remembered) <= 1024


def test_long_names_are_not_remembered() -> None:
    routes = router(Match())
    pick(routes, b"/" + b"x" * 600)
    pick(routes, host=b"x" * 600)
    assert not routes._remembered


@pytest.mark.parametrize(
    ("prefix", "rewrite", "path", "sent"),
    [
        ("/openai", "/", b"/openai/v1/chat", b"/v1/chat"),
        ("/openai", "/", b"/openai", b"/"),
        ("/openai/", "/", b"/openai/", b"/"),
        ("/a", "/b/c", b"/a/x", b"/b/c/x"),
        ("/a", "/b/", b"/a", b"/b"),
        ("/a/{n}", "/b", b"/a/1/x%20y", b"/b/x%20y"),
        (None, "/base", b"/x", b"/base/x"),
        ("/a", "/b", b"/a/\xff", b"/b/\xff"),
    ],
)
def test_rewrite(prefix: str | None, rewrite: str, path: bytes, sent: bytes) -> None:
    assert pick(router(Match(path=prefix), rewrite=rewrite), path).path == sent


def test_without_a_rewrite_the_path_stays() -> None:
    assert pick(router(Match(path="/v1")), b"/v1/x").path is None


def test_what_is_captured() -> None:
    match = Match(host="{name}-api.x.com", path="/{region}/v1")
    found = pick(router(match), b"/eu-1/v1/chat", host=b"mine-api.x.com:443")
    assert found.captured == {"name": "mine", "region": "eu-1"}


def test_nobody_takes_it() -> None:
    with pytest.raises(NotRouted, match="no route matches POST /v2 for host a"):
        pick(router(Match(path="/v1")), b"/v2")
    with pytest.raises(NotRouted, match="model gpt"):
        pick(router(Match(model="glm-*")), model="gpt")


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (b"/chat/completions",
         "a route matches /v1/chat/completions: should the base URL end in /v1?"),
        (b"/models/x", "a route matches /v1/models/x: should the base URL end in /v1?"),
        (b"/v1/v1/chat", "a route matches /v1/chat: the path has /v1 twice"),
        (b"/files", "a route matches /big/v2/files: should the base URL end in /big/v2?"),
        (b"/v1/models", "a route takes it with the method GET"),
        (b"/only", "a route takes it for the host b.x.com"),
        (b"/v2/chat", "routes take paths that begin with /v1/chat, /big/v2/files, /big/v2"),
        (b"/v1x", "routes take paths that begin with /v1/chat, /big/v2/files, /big/v2"),
        (b"/v1/v1", "routes take paths that begin with /v1/chat, /big/v2/files, /big/v2"),
    ],
)  # fmt: skip
def test_the_nearest_route_is_told(path: bytes, hint: str) -> None:
    routes = router(
        Match(path="/v1/chat"),
        Match(path="/v1/models", method="POST" if path == b"/models/x" else "GET"),
        Match(path="/big/v2/files"),
        Match(path="/big/v2", headers={"x": Secret("*")}),
        Match(path="/only", host="b.x.com"),
    )
    with pytest.raises(NotRouted) as told:
        pick(routes, path)
    expected = f"no route matches POST {path.decode()} for host a; {hint}"
    assert told.value.message == expected


def test_nothing_is_near_to_a_host_that_no_route_knows() -> None:
    with pytest.raises(NotRouted, match=r"^no route matches POST /v2 for host a$"):
        pick(router(Match(host="b", path="/v1")), b"/v2")


@pytest.mark.parametrize(
    ("matches", "model", "hint"),
    [
        ([Match(model="glm-*"), Match(model="gpt-4o")], "gpt-4", "; routes take the model gpt-4o"),
        ([Match(model="a"), Match(model="b")], "gpt-4", "; routes take the model a, b"),
        ([Match(model="a"), Match(headers={"x-team": Secret("blue")})], None,
         "; routes take the model a or certain values of x-team"),
        ([Match(model=str(n)) for n in range(9)], "x",
         "; routes take the model 0, 1, 2, 3, 4, ..."),
    ],
)  # fmt: skip
def test_the_nearest_model_is_told(matches: list[Match], model: str | None, hint: str) -> None:
    named = "no model" if model is None else f"the model {model}"
    with pytest.raises(NotRouted) as told:
        pick(router(*matches), model=model)
    assert told.value.message == f"no route matches these headers and {named}{hint}"
    assert "blue" not in told.value.message


FILES = router(Match(path="/v1/files"), Match(path="/v1/"), Match(host="*.x.com"))


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/chat/../files/secret", b"/v1/chat/%2e%2e/files", b"/v1/./chat", b"/v1/..%2fadmin",
        b"/v1/chat/..\\..\\admin", b"/v1/..;/admin", b"/..", b"/v1/chat/..",
    ],
)  # fmt: skip
def test_no_path_with_dot_segments_is_routed(path: bytes) -> None:
    for routes in (FILES, router(Match())):
        with pytest.raises(BadPath, match="segment"):
            pick(routes, path, host=b"a.x.com")


@pytest.mark.parametrize(
    "path",
    [
        b"/v1//files/secret", b"/v1/%66iles/secret", b"/v1/files%2Fsecret", b"/v1%2ffiles",
        b"/v1/\\files", b"//v1/files", b"/v1//files", b"/v1\\files", b"/v1/files;v=1/secret",
    ],
)  # fmt: skip
def test_a_path_that_other_servers_read_as_another_routes_is_refused(path: bytes) -> None:
    with pytest.raises((BadPath, NotRouted)):  # the latter where none takes it as it is written
        pick(FILES, path)
    with pytest.raises(BadPath, match="make its route ambiguous"):
        pick(FILES, path, host=b"a.x.com")


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/v1/models/org%2Fmodel", "1"),
        (b"/v1/models//x", "1"),
        (b"/v1/files/a%20b.json", "0"),
        (b"/v1/files//", "0"),
        (b"/v1/models/m;v=1", "1"),
        (b"/v1/.well-known/...", "1"),
        (b"/v1/a..b/c.", "1"),
        (b"/v1/proxy/https://example.com/x", "1"),
    ],
)
def test_what_all_readings_agree_on_passes_as_it_is(path: bytes, route: str) -> None:
    found = pick(FILES, path)
    assert (found.route.name, found.path) == (route, None)


def test_a_route_may_be_written_with_encoded_characters() -> None:
    routes = router(Match(path="/v1/%7Euser/a%2Fb"), rewrite="/x")
    assert pick(routes, b"/v1/%7Euser/a%2Fb/c").path == b"/x/c"
    with pytest.raises(NotRouted):
        pick(routes, b"/v1/~user/a/b%2Fc")


def test_what_stands_behind_a_route_that_takes_all_does_not_matter() -> None:
    routes = router(Match(host="a"), Match(path="/v1/files"))
    assert pick(routes, b"/v1//files").route.name == "0"
    asks = router(Match(host="a", model="glm"), Match(path="/v1/files"))
    with pytest.raises((BadPath, NotRouted)):
        pick(asks, b"/v1//files", model="glm")


def test_a_path_that_was_refused_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(BadPath):
            pick(FILES, b"/v1//files")


def test_a_path_with_a_second_reading_that_no_route_takes() -> None:
    with pytest.raises(NotRouted):
        pick(FILES, b"/v2/a%2Fb")


SERVER_READS = st.sampled_from([str, unquote, lambda path: re.sub("/+", "/", unquote(path))])
PATHS = st.lists(
    st.sampled_from(["/", "/", "..", ".", "%2e%2E", "%2f", "\\", "a", "%61", "b", ";", "v1"])
).map(lambda parts: "/v1/" + "".join(parts))


@given(PATHS, SERVER_READS)
def test_no_accepted_path_leaves_its_prefix_or_the_endpoints_base(
    path: str, read: Callable[[str], str]
) -> None:
    try:
        found = pick(router(Match(path="/v1/"), rewrite="/api"), path.encode())
    except (BadPath, NotRouted):
        return
    assert found.path is not None
    resolved = posixpath.normpath(read("/base" + found.path.decode()).replace("\\", "/"))
    assert f"{resolved}/".startswith("/base/api/")
