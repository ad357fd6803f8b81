"""What stands in for modules that are imported for something that hardly ever happens.

Each answers as the module's own would, by importing it when it is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@contextmanager
def in_place() -> Iterator[None]:
    """Let what is imported within take them for the modules that they stand in for."""
    placed = [name for name in _NAMES if name not in sys.modules]
    for name in placed:
        module = sys.modules[name] = ModuleType(name)
        module.__dict__.update(_NAMES[name])
    finder = _Lazily()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in placed:
            sys.modules.pop(name, None)


class _Lazily:
    """Finds modules that are imported as a whole: they run when something in them is asked for."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find it as it would be found anyway, to be loaded later."""
        if fullname not in _LATER:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


class _Registry:
    """An `email.headerregistry.HeaderRegistry`, for an e-mail's policy."""

    @cached_property
    def _own(self) -> Any:
        return import_module("email.headerregistry").HeaderRegistry()

    def __call__(self, name: str, value: str) -> Any:
        return self._own(name, value)

    def __getitem__(self, name: str) -> Any:
        return self._own[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what Python itself asks of any object
            raise AttributeError(name)
        return getattr(self._own, name)


class _Entities(Mapping[str, str]):
    """`html.entities.html5`, for unescape: 2,231 entries of which escape needs none."""

    @cached_property
    def _own(self) -> dict[str, str]:
        own: dict[str, str] = import_module("html.entities").html5
        return own

    def __getitem__(self, name: str) -> str:
        return self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


def _function(module: str, name: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return getattr(import_module(module), name)(*arguments)

    return call


_NAMES: Final[dict[str, dict[str, Any]]] = {
    "urllib.request": {
        name: _function("urllib.request", name) for name in ("getproxies", "proxy_bypass")
    },
    "email.headerregistry": {"HeaderRegistry": _Registry},
    "html.entities": {"html5": _Entities()},
}
_LATER: Final = frozenset({"attr.validators", "attr.converters", "idna"})
