"""What must hold of all that reads bodies, metrics and units, whatever they are."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable
from typing import Any, Final, get_args

from sidecar.config.model.units import Duration, Share, Size
from sidecar.errors import ModelUnknown
from sidecar.llm.dialects import Dialect, error_body, error_event, of_request
from sidecar.llm.models import lists
from sidecar.llm.prompt import Prompt
from sidecar.llm.report import parse_metrics, parse_orca
from sidecar.llm.request import Asked, glance, read
from sidecar.policy.load import Report
from tests.fuzz.cases import Case, Fault

_DIALECTS: Final[tuple[Dialect, ...]] = get_args(Dialect)
_UNITS: Final[dict[str, Callable[[str], Any]]] = {
    "duration": Duration,
    "size": Size,
    "share": Share,
}
Members = list[tuple[str, Any]]


class _Pairs(list[tuple[str, Any]]):
    """An object as Python's parser reads it: names that stand twice are there twice."""


def python(data: bytes) -> Any:
    """*data* as Python's own parser reads it; None if it does not.

    Bytes that are no UTF-8 are replaced: they are passed on, and some servers do so.
    """
    text = data.decode(json.detect_encoding(data), "replace")
    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None


def asked(body: bytes) -> Asked | None:
    """What *body* says for certain; None where that can't be told."""
    try:
        found = read(body, b"application/json")
    except ModelUnknown:
        return None
    return None if found.doubt else found


def with_model(body: bytes, model: str) -> bytes | None:
    """*body* with another model; None where it has none."""
    try:
        found = read(body, b"application/json")
    except ModelUnknown:
        return None
    return found.with_model(model) if found.named else None


def request(case: Case) -> Hashable:
    """The model that is read is the one that others read, and all of them where it is certain."""
    model, stream = glance(case.data)
    members = python(case.data)
    models = [value for name, value in members if name == "model"] if _is(members) else []
    if model is not None and members is not None and model not in models[-1:]:
        raise Fault("another model is read than servers read", (model, models))
    certain = asked(case.data)
    if certain is not None and members is not None:
        named = [value for name, value in members if name.lower() == "model"] if models else []
        if any(value != certain.model for value in named):
            raise Fault("a model is certain that is not", (certain.model, named))
    return model is None, stream, len(models), certain is None


def _is(members: Any) -> bool:
    return isinstance(members, _Pairs)


def alias(case: Case) -> Hashable:
    """Whoever reads what comes out reads the new model, and all else as it was."""
    changed = with_model(case.data, "neu")
    if changed is None:
        return None
    before, after = python(case.data), python(changed)
    if not _is(after):
        raise Fault("a body is no JSON any more", changed)
    if any(value != "neu" for name, value in after if name == "model"):
        raise Fault("somebody may read another model", changed)
    if _is(before) and _others(before) != _others(after):
        raise Fault("other members are changed with the model", (case.data, changed))
    again = asked(changed)
    if again is None or again.model != "neu":
        raise Fault("we do not read the model that we wrote", changed)
    return len(before or ()), len(changed) - len(case.data)


def _others(members: Members) -> str:
    """As text, since NaN is not like itself."""
    return repr(sorted(dict(pair for pair in members if pair[0] != "model").items()))


def prompt(case: Case) -> Hashable:
    """No more than is asked for, and more of it begins as less of it does."""
    whole = Prompt(case.data).start(1 << 20)
    for size in (0, 1, 7, 100):
        if Prompt(case.data).start(size) != whole[:size]:
            raise Fault("a prompt's start is not a start of it", size)
    return len(whole).bit_length()


def report(case: Case) -> Hashable:
    """A load that is told is a load."""
    found = [parse_metrics(case.data), parse_orca(case.data)]
    for each in found:
        if each is not None:
            check_report(each)
    return tuple(each is None for each in found)


def check_report(found: Report) -> None:
    """All of it is finite and not negative, and shares are at most 1."""
    told = {"queued": found.queued, "running": found.running, "kv": found.kv_used}
    told["utilization"] = found.utilization
    for name, value in told.items():
        most = math.inf if name in ("queued", "running") else 1.0
        if not (math.isfinite(value) and 0 <= value <= most):
            raise Fault("a load is told that is none", found)


def models(case: Case) -> Hashable:
    """A list of models is read, or is none."""
    return lists(case.data, "m")


def dialects(case: Case) -> Hashable:
    """Errors are JSON in every dialect, whatever is quoted in them, and events are one event."""
    text = case.data.decode("utf-8", "replace")
    for each in _DIALECTS:
        json.loads(error_body(each, 400, "code", text, "id"))
        event = error_event(each, 400, "code", text, "id")
        if event and (not event.endswith(b"\n\n") or event.count(b"\n\n") > 1 or b"\r" in event):
            raise Fault("an error's event is more than one", event)
    return of_request(case.data, {})


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)


def units(case: Case) -> Hashable:
    """What is read is a number that is written the same way."""
    text = case.data.decode("utf-8", "replace")
    told = []
    for name, unit in _UNITS.items():
        try:
            value = unit(text)
        except ValueError:
            continue
        if not math.isfinite(value) or value < 0:
            raise Fault(f"a {name} that is no number", (text, value))
        # It is defaults that are written: none is so large that nine digits can't say it.
        if value < 999 and not _same(unit(value.written()), value):
            raise Fault(f"a {name} is written as another", (text, value.written()))
        told.append(name)
    return tuple(told)
