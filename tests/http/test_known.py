"""Fields that are looked up in `known` must be among those that are always looked for."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import sidecar
from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS, REQUEST_FIELDS

ROOT = Path(sidecar.__file__).parent
WANTED = REQUEST_FIELDS.names | REPLY_FIELDS.names


def asked(tree: ast.AST, names: set[str]) -> Iterator[ast.expr]:
    """What is looked up in something called *names*, or in an attribute `known`."""

    def known(node: ast.expr) -> bool:
        if isinstance(node, ast.Attribute):
            return node.attr == "known"
        return isinstance(node, ast.Name) and node.id in names

    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and known(node.value):
            yield node.slice
        elif isinstance(node, ast.Compare) and known(node.comparators[0]):
            yield node.left
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and known(node.func.value)
        ):
            yield node.args[0]


def aliases(function: ast.AST) -> set[str]:
    """Names that stand for a `known` in *function*."""
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    found = {argument.arg for argument in function.args.args if argument.arg == "known"}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and ".known" in ast.unparse(node.value):
            targets = node.targets[0]
            values = node.value
            if isinstance(targets, ast.Tuple) and isinstance(values, ast.Tuple):
                pairs = zip(targets.elts, values.elts, strict=True)
            else:
                pairs = zip([targets], [values], strict=True)
            found |= {
                target.id
                for target, value in pairs
                if isinstance(target, ast.Name)
                and isinstance(value, ast.Attribute)
                and value.attr == "known"
            }
    return found


def literals() -> Iterator[tuple[str, bytes]]:
    for file in sorted(ROOT.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if ".known" not in text or file.name == "fields.py":
            continue
        name = ".".join(("sidecar", *file.relative_to(ROOT).with_suffix("").parts))
        module = importlib.import_module(name)
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for expression in asked(function, aliases(function)):
                    if isinstance(expression, ast.Constant):
                        if isinstance(expression.value, bytes):  # others ask a list
                            yield file.name, expression.value
                    elif isinstance(expression, ast.Name) and hasattr(module, expression.id):
                        yield file.name, getattr(module, expression.id)


FOUND = sorted(set(literals()))


def test_there_are_some() -> None:
    assert len(FOUND) > 20


@pytest.mark.parametrize(("file", "name"), FOUND)
def test_what_is_looked_up_is_looked_for(file: str, name: bytes) -> None:
    assert name in WANTED, file


def test_known_has_values_as_get_has_them() -> None:
    block = b"\r\nHost:  a \r\nX-Other: 1\r\nhost: b\r\nX-Sidecar-Retries: 2"
    fields = Fields(block, REQUEST_FIELDS)
    assert fields.known == {b"host": b"a, b", b"x-sidecar-retries": b"2"}
    assert fields.get(b"x-other") == b"1"
    assert fields.without({b"host"}) == b"\r\nX-Other: 1\r\nX-Sidecar-Retries: 2"
    assert fields.without({b"x-other"}) == block.replace(b"\r\nX-Other: 1", b"")
