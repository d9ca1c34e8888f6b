"""The page of the queues: what waits in them, how much of the limits is used, what is paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.job import DEFAULT_QUEUE
from postlude.stores.searching import MOST
from postlude.views.places import LimitView, QueuesView, QueueView
from postlude.views.tasks import queues_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from postlude.limits import Limit
    from postlude.pauses import Pause
    from postlude.registry import Registry
    from postlude.stores.seeing import LimitUse, Waiting


def queues_view(
    registry: Registry,
    waiting: Sequence[Waiting],
    pauses: Sequence[Pause],
    limits: Mapping[str, Limit],
    use: Sequence[LimitUse],
) -> QueuesView:
    """The page made of what the store says."""
    paused = {pause.name: pause for pause in pauses if pause.kind == "queue"}
    names = {DEFAULT_QUEUE, *queues_of(registry), *paused, *(each.queue for each in waiting if each.queue)}
    return QueuesView(
        queues=[
            _queue(name, paused.get(name), [each for each in waiting if each.queue == name]) for name in sorted(names)
        ],
        limits=[*_limits(limits, use, pauses)],
        pauses=pauses,
        behind=sum(each.behind for each in waiting),
    )


def _queue(name: str, paused: Pause | None, waiting: Sequence[Waiting]) -> QueueView:
    return QueueView(
        name=name,
        paused=paused,
        due=sum(each.due for each in waiting),
        later=sum(each.later for each in waiting),
        running=sum(each.running for each in waiting),
        oldest_due=min((each.due_since for each in waiting if each.due_since is not None), default=None),
        tasks=waiting,
        more=any(max(each.due, each.later) >= MOST for each in waiting),
    )


def _limits(limits: Mapping[str, Limit], use: Sequence[LimitUse], pauses: Sequence[Pause]) -> Iterator[LimitView]:
    for task, limit in sorted(limits.items()):
        used = [(each.partition, each.running, each.started) for each in use if each.task == task]
        for partition, running, started in used or [("", 0, 0)]:
            paused = next(
                (
                    pause
                    for pause in pauses
                    if pause.name == task
                    and (pause.kind == "task" or (pause.kind == "partition" and pause.partition == partition))
                ),
                None,
            )
            yield LimitView(task, partition, limit, running, started, paused)
