import pytest

from sidecar.config.read.tree import MAX_DEPTH, MAX_NODES, MAX_TEXT, Unreadable, read


def messages(text: str) -> list[str]:
    return [f"{p.line}:{p.path}:{p.message}" for p in read(text).problems]


def test_values_and_the_lines_they_stand_on() -> None:
    tree = read("a: 1\nb:\n  - x\n  - {c: true,\n     d: 1.5}\ne: ~\nf: '010'\n")
    assert tree.root == {"a": 1, "b": ["x", {"c": True, "d": 1.5}], "e": None, "f": "010"}
    assert tree.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "c"): 4,
        ("b", 1, "d"): 5,
        ("e",): 6,
        ("f",): 7,
    }
    assert not tree.problems


@pytest.mark.parametrize(
    "scalar",
    (
        "no Yes on 010 0x1F 0b1 1_000 12:30:45 1:30.5 2025-01-01 .inf .nan = "
        f"{'9' * 30} {'1' * 5000}"
    ).split(),
)
def test_what_yaml_reads_otherwise_than_it_looks_must_be_quoted(scalar: str) -> None:
    (problem,) = read(f"a: {scalar}").problems
    assert problem.path == ("a",)
    assert "put it in quotes" in problem.message
    assert not read(f'a: "{scalar}"').problems


@pytest.mark.parametrize("text", ["1e3", "12:30:45:99", "1.2.3", "v1", "0o17", "nope"])
def test_plain_texts_stay_texts(text: str) -> None:
    assert read(f"a: {text}").root == {"a": text}


@pytest.mark.parametrize("key", ["on", "no", "Yes", "true"])
def test_keys_are_as_they_look(key: str) -> None:
    tree = read(f"{key}: 1")
    assert tree.root == {key: 1}
    assert not tree.problems


def test_a_key_stands_once_with_and_without_quotes() -> None:
    (problem,) = read('on: 1\n"on": 2').problems
    assert (problem.path, problem.line) == (("on",), 2)


@pytest.mark.parametrize("key", ["1", "~", "[a]", "{a: b}", "2025-01-01"])
def test_keys_are_texts(key: str) -> None:
    (problem,) = read(f"x:\n  ? {key}\n  : 1").problems
    assert problem.line == 2
    assert problem.message == "a key must be text; put it in quotes"


def test_a_key_stands_once() -> None:
    text = "a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}\na: 4\n"
    tree = read(text)
    assert tree.root == {"a": 1, "b": 2, "c": {"d": 1}}
    assert messages(text) == [
        "3:('a',):duplicate key, first on line 1",
        "4:('c', 'd'):duplicate key, first on line 4",
        "5:('a',):duplicate key, first on line 1",
    ]


def test_aliases_are_copies_with_the_lines_of_the_original() -> None:
    tree = read("a: &x {k: 1}\nb: *x\n")
    assert tree.root == {"a": {"k": 1}, "b": {"k": 1}}
    assert isinstance(tree.root, dict)
    assert tree.root["a"] is not tree.root["b"]
    assert tree.lines["b", "k"] == 1


def test_merge_keys() -> None:
    text = (
        "base: &base {a: 1, b: 1}\nmore: &more {b: 2, c: 2}\n"
        "one: {<<: *base, b: 3}\nmany: {<<: [*base, *more]}\nlate: {b: 4, <<: *base}\n"
    )
    tree = read(text)
    assert not tree.problems
    assert isinstance(tree.root, dict)
    assert tree.root["one"] == {"b": 3, "a": 1}
    assert tree.root["many"] == {"a": 1, "b": 1, "c": 2}
    assert tree.root["late"] == {"b": 4, "a": 1}
    assert tree.lines["one", "a"] == 1


@pytest.mark.parametrize("text", ["a: {<<: 5}", "a: {<<: [1, 2]}", "a: {<<: x}"])
def test_only_mappings_can_be_merged(text: str) -> None:
    assert {p.message for p in read(text).problems} == {
        "expected an alias of a mapping, as `<<: *name`"
    }


@pytest.mark.parametrize("text", ["a: !x b", "a: !!set {b}", "a: !!python/object:os.x {}"])
def test_tags_are_refused(text: str) -> None:
    assert [p.message for p in read(text).problems] == ["YAML tags (`!name`) are not supported"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: [", 2, "not YAML"),
        ("a: 1\n\tb: 2", 2, "a tab cannot indent"),
        ("a: b: c", 1, "a second colon in a value needs quotes"),
        ("a: *x", 1, r"a value that begins with \* is an alias"),
        ("a: 1\n---\nb: 2", 2, "a second document"),
        ("a: 1\nb: \x07", 2, "control character"),
        ("a: 1\nb: \ud800", 2, "not Unicode|control character"),
        ("a:\n" + "- " * 100 + "x", 2, "nested deeper"),
        ("[" * 500_000, 1, "nested deeper"),
        ("x" * (MAX_TEXT + 1), 1, "larger than"),
        ("a: 1\nb: \ufffd", 2, "not UTF-8 text"),
        ("a: &x [*x]", 1, "nested deeper"),
        ("a: &x {<<: *x}", 1, "nested deeper"),
    ],
)
def test_unreadable(text: str, line: int, message: str) -> None:
    with pytest.raises(Unreadable, match=message) as caught:
        read(text)
    assert caught.value.problem.line == line


def test_a_billion_laughs() -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    with pytest.raises(Unreadable, match=f"more than {MAX_NODES} values"):
        read("a0: &a0 x\n" + levels)


def test_a_billion_merges() -> None:
    levels = "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 10)
    )
    with pytest.raises(Unreadable, match=f"more than {MAX_NODES} values"):
        read("a0: &a0 {k: x}\n" + levels)


def test_the_deepest_that_is_read() -> None:
    assert not read("[" * MAX_DEPTH + "]" * MAX_DEPTH).problems


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n...\n"])
def test_an_empty_file(text: str) -> None:
    assert [p.message for p in read(text).problems] == ["the file is empty"]
