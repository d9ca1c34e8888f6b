"""Tasks as people see them: what is declared, and how it has gone."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, NamedTuple

from postlude.errors import UnknownTask
from postlude.limits import UNLIMITED
from postlude.views.places import TaskView
from postlude.views.values import signature_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from postlude.definition import TaskDefinition
    from postlude.limits import Limit
    from postlude.pauses import Pause
    from postlude.registry import Registry
    from postlude.stores.seeing import Waiting
    from postlude.views.overview import Rates


class About(NamedTuple):
    """What the store says of tasks."""

    hour: Mapping[str, Rates]
    day: Mapping[str, Rates]
    waiting: Sequence[Waiting]
    pauses: Sequence[Pause]
    unresolvable: Collection[str]
    none: Rates
    """Of a task of which nothing was counted."""


def view_of(name: str, registry: Registry, about: About) -> TaskView:
    """One task."""
    definition, why = _found(name, registry)
    terms = None if definition is None else definition.terms
    return TaskView(
        name=name,
        known=definition is not None,
        unresolvable=name in about.unresolvable,
        why_unknown=why,
        signature=None if definition is None else _signature(definition),
        summary=None if definition is None else _summary(definition),
        executor=None if definition is None else definition.executor,
        queue=None if terms is None else terms.queue,
        priority=None if terms is None else terms.priority,
        retries=None if definition is None else _retries(definition),
        timeout=None if definition is None else definition.policy.timeout,
        limit=None if terms is None or terms.limit == UNLIMITED else terms.limit,
        interrupted=None if definition is None else definition.policy.interrupted,
        options=() if definition is None else _options(definition),
        hour=about.hour.get(name, about.none),
        day=about.day.get(name, about.none),
        waiting=[each for each in about.waiting if each.task == name],
        pauses=[each for each in about.pauses if each.kind in {"task", "partition"} and each.name == name],
    )


def limits_of(registry: Registry) -> dict[str, Limit]:
    """The limits of the tasks that are known here, by their names."""
    found = ((name, _found(name, registry)[0]) for name in sorted(registry.names()))
    return {
        name: definition.terms.limit
        for name, definition in found
        if definition is not None and definition.terms.limit != UNLIMITED
    }


def queues_of(registry: Registry) -> set[str]:
    """The queues that the tasks known here wait in."""
    found = (_found(name, registry)[0] for name in registry.names())
    return {definition.terms.queue for definition in found if definition is not None}


def _found(name: str, registry: Registry) -> tuple[TaskDefinition | None, str | None]:
    try:
        return registry.find(name), None
    except UnknownTask as unknown:
        return None, unknown.reason


def _signature(definition: TaskDefinition) -> str:
    signature = signature_of(definition)
    # Not the defaults as they are: their reprs may be long, and what stands for a secret may be one.
    short = [
        parameter.replace(default=_Ellipsis()) if parameter.default is not inspect.Parameter.empty else parameter
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=short))


class _Ellipsis:
    def __repr__(self) -> str:
        return "…"


def _summary(definition: TaskDefinition) -> str | None:
    text = inspect.getdoc(definition.function)
    return text.strip().partition("\n")[0] if text and text.strip() else None


def _retries(definition: TaskDefinition) -> str:
    retry = definition.retry
    if retry is None:
        return "none"
    waits = definition.policy.backoff
    return f"{retry.count}" if waits is None else f"{retry.count}, {retry.backoff!r}"


def _options(definition: TaskDefinition) -> list[tuple[str, str]]:
    """What differs from the defaults."""
    terms, policy = definition.terms, definition.policy
    limit = terms.limit
    rate = None if limit.rate is None else f"{limit.rate.starts} in {limit.rate.seconds:g} s"
    values = {
        "executor": definition.executor,
        "queue": terms.queue,
        "priority": terms.priority or None,
        "key": _name(terms.key),
        "on_conflict": None if terms.key is None else terms.on_conflict,
        "max_running": limit.max_running,
        "rate": rate,
        "partition_by": _name(terms.partition_by),
        "retries": None if definition.retry is None else _retries(definition),
        "timeout": None if policy.timeout is None else f"{policy.timeout:g} s",
        "interrupted": policy.interrupted,
        "max_interruptions": policy.max_interruptions,
        "on_failure": None if policy.on_failure is None else policy.on_failure[0],
        "keep_arguments": None if policy.keep_arguments else "no",
        "remote": "yes" if definition.remote else None,
    }
    return [(name, str(value)) for name, value in values.items() if value is not None]


def _name(given: object) -> str | None:
    if given is None or isinstance(given, str):
        return given
    return getattr(given, "__qualname__", repr(given))
