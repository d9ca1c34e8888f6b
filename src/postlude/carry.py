"""Context variables that come along with a call, from `add_task` to the task, in whatever process that runs."""

from __future__ import annotations

import json
import math
import sys
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from postlude.context import CARRY
from postlude.errors import SettingsError
from postlude.events import ValueNotCarried
from postlude.tasks import importable_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextvars import Context

    from postlude.calls import Call
    from postlude.telling import Events

MAX_CARRIED: Final = 4_096
"""Bytes of one value as JSON: it is stored with every job."""
MAX_DEPTH: Final = 10
"""Of lists and dicts inside one another: a list that contains itself has no end."""
TRACE: Final = "postlude.trace"
"""Under this name, which no variable should have, the headers of the span in which a call was added come along."""
_KINDS: Final = frozenset({str, int, float, bool, type(None), list, dict})
_UNSET: Final = object()


class Carry:
    """The variables that an application names.

    Args:
        variables: they, or where to find them, as `module:name`.
        events: told once of each variable whose value cannot be stored.
    """

    def __init__(self, variables: Sequence[ContextVar[Any] | str], events: Events) -> None:
        self._named = variables
        self._events = events
        self._found: dict[str, ContextVar[Any]] | None = None
        self._warned: set[str] = set()

    def variables(self) -> dict[str, ContextVar[Any]]:
        """The variables by their names; where they are named by module, that is imported now.

        Raises:
            SettingsError: one cannot be found, or two have the same name.
        """
        if self._found is None:
            problems: list[str] = []
            found: dict[str, ContextVar[Any]] = {}
            for named in self._named:
                variable = _imported(named, problems) if isinstance(named, str) else named
                if variable is not None and found.setdefault(variable.name, variable) is not variable:
                    problems.append(f"carry: expected variables of different names, got two named {variable.name!r}")
            if problems:
                raise SettingsError(problems)
            self._found = found
        return self._found

    def capture(self) -> str | None:
        """The values that are set in this context, as a JSON object; None if there are none.

        Raises:
            SettingsError: see `variables`.
        """
        values: list[str] = []
        for name, variable in self.variables().items():
            value = variable.get(_UNSET)
            if value is not _UNSET:
                text = self._text_of(name, value)
                if text is not None:
                    values.append(f"{json.dumps(name)}:{text}")
        return f"{{{','.join(values)}}}" if values else None

    def add_to(self, call: Call) -> None:
        """Let what `capture` gives come along with the call."""
        call.carried = self.capture()

    def restore(self, context: Context, call: Call) -> None:
        """Set in the context what came along with the call."""
        text = call.carried
        values = json.loads(text) if text is not None else {}
        if text is None and call.claim is not None and call.claim.origin is not None:
            values = json.loads(call.claim.origin).get(CARRY, {})
        if values:
            self.set_in(context, values)

    def set_in(self, context: Context, values: Mapping[str, Any]) -> None:
        """Set these values in the context, by the names of the variables."""
        variables = self.variables()
        for name, value in values.items():
            if name in variables:  # else another release of the application, or another of its processes, carries it
                context.run(variables[name].set, value)

    def places(self) -> list[str]:
        """Where another process finds the variables, as `module:name`; those that no module has are left out."""
        return [place for named in self._named if (place := named if isinstance(named, str) else _place_of(named))]

    def _text_of(self, name: str, value: object) -> str | None:
        reason = _reason_against(value)
        text = None if reason is not None else json.dumps(value, separators=(",", ":"))
        if text is not None and len(text) > MAX_CARRIED:
            reason, text = f"it takes {len(text):,} bytes as JSON, and at most {MAX_CARRIED:,} are carried", None
        if reason is not None and name not in self._warned:
            self._warned.add(name)
            self._events.emit(ValueNotCarried(name, reason))
        return text


def with_carried(origin: str | None, carried: str) -> str:
    """The origin of a call, and what comes along with it."""
    start = "{" if origin is None or origin == "{}" else f"{origin[:-1]},"
    return f'{start}"{CARRY}":{carried}}}'


def with_trace(carried: str | None, trace: Mapping[str, str]) -> str:
    """What comes along with a call, and with it the span in which it was added."""
    start = "{" if carried is None else f"{carried[:-1]},"
    return f"{start}{json.dumps(TRACE)}:{json.dumps(trace)}}}"


def trace_of(origin: str | None, carried: str | None) -> Mapping[str, str]:
    """The headers of W3C's Trace Context for whoever goes on with a job: of its call, or else of its request.

    Args:
        origin: of the job, as it is stored; None: it has none.
        carried: what came along with the call, where it is at hand and not in the origin.
    """
    known = {} if origin is None else json.loads(origin)
    values = known.get(CARRY, {}) if carried is None else json.loads(carried)
    found: Mapping[str, str] = values.get(TRACE) or {name: known[name] for name in ("traceparent",) if name in known}
    return found


def _place_of(variable: ContextVar[Any]) -> str | None:
    for module_name, module in list(sys.modules.items()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is variable:
                return f"{importable_name(module_name)}:{name}"
    return None


def _imported(named: str, problems: list[str]) -> ContextVar[Any] | None:
    module, _, name = named.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        problems.append(f"carry: {named!r} cannot be imported: {error}")
        return None
    if not isinstance(found, ContextVar):
        problems.append(f"carry: expected {named!r} to be a ContextVar, got {found!r}")
        return None
    return found


def _reason_against(value: object, depth: int = 0) -> str | None:
    """Why JSON would not give back the same value; None if it does."""
    kind = type(value)
    if depth > MAX_DEPTH:
        return "it is too deep"
    if kind not in _KINDS or (isinstance(value, float) and not math.isfinite(value)):
        return f"expected text, a number, True, False, None, or lists and dicts of those, got a {kind.__name__}"
    parts: Iterable[object] = ()
    if isinstance(value, list):
        parts = value
    elif isinstance(value, dict):
        if not all(type(key) is str for key in value):
            return "expected a dict whose keys are text"
        parts = value.values()
    return next(filter(None, (_reason_against(part, depth + 1) for part in parts)), None)
