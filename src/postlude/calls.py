"""One call of a task, from `add_task` to its end in this process, and the calls of one request in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from uuid import UUID

    from postlude.errors import NotStorable
    from postlude.job import Claim, NewJob
    from postlude.tasks import TaskDefinition

WhenRaised = Literal["discard", "keep", "only"]


class CallOptions(NamedTuple):
    """What one call asks for, beside what its task declares."""

    ordered: bool = True
    """Whether the call waits for the one before it, and those after it wait for it."""
    if_raised: WhenRaised = "discard"
    """What happens when the endpoint raises: discard the call, keep it, or run it only then."""


class Call:
    """A call that was added and has not ended yet.

    The arguments are the snapshot taken when it was added: the decoded copy for a call that is stored, the very objects
    for an ephemeral one.
    """

    __slots__ = ("args", "around", "claim", "context", "definition", "id", "kwargs", "options", "text", "unstorable")

    def __init__(
        self,
        definition: TaskDefinition,
        job_id: UUID,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        text: str | None,
        options: CallOptions,
        unstorable: NotStorable | None,
    ) -> None:
        self.definition: TaskDefinition = definition
        self.id: UUID = job_id
        self.args: tuple[Any, ...] = args
        self.kwargs: Mapping[str, Any] = kwargs
        self.text: str | None = text
        """The arguments as JSON; None for an ephemeral call."""
        self.options: CallOptions = options
        self.unstorable: NotStorable | None = unstorable
        """Why the call is ephemeral; None when it is stored."""
        self.claim: Claim | None = None
        """The ownership under which it is committed; None while it is not, and for a call that has no row."""
        self.around: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]] | None = None
        """Runs the attempt that it is given inside something, such as a span; None: the attempt runs as it is."""
        self.context: contextvars.Context | None = None
        """The context it runs in; None: a copy of the current one when it starts."""

    @property
    def ephemeral(self) -> bool:
        """Whether the call lives in this process only."""
        return self.text is None


class Chain:
    """The calls of one request: those committed so far, and where the next one is tied on."""

    __slots__ = ("first", "last", "origin", "unconfirmed")

    def __init__(self) -> None:
        self.origin: str | None = None
        """JSON about the request, stored with each job."""
        self.first: UUID | None = None
        """The first ordered job; its id is the chain's."""
        self.last: UUID | None = None
        """The ordered job that the next one comes after."""
        self.unconfirmed: Sequence[NewJob] = ()
        """Rows whose commit was cut off before it was confirmed."""
