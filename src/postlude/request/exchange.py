"""One request or WebSocket: what was added during it, when that is committed, and when it runs.

An exchange goes through three moments:

1. *Open.* Calls are collected and nothing is written. An exception now discards them.
2. *Sealed*, when the response starts: the calls are committed in one group, and only then the status line goes out.
   From here on nothing is discarded; a call that is added is committed at once, and the next message waits for that.
3. *Over*, when the ASGI call ends and the request's dependencies have exited: the calls run.

All of it happens on the event loop of the request, but `add_task` may be called in any thread. So that side puts its
entry into the list first and looks at the seal second, while this side sets the seal first and takes the list second:
however the two interleave, the entry is seen.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from postlude.errors import InstallError, PostludeError
from postlude.loops import in_background, running_loop
from postlude.request.committing import Commits
from postlude.request.entries import Entry, take_from, until_last_ephemeral
from postlude.request.origin import is_traced, origin
from postlude.request.refusal import CommitRefused, OneBeforeFailed, comes_of_refusal, not_stored, send_refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Sequence
    from contextvars import Context
    from uuid import UUID

    from starlette.background import BackgroundTasks
    from starlette.types import Message, Scope, Send

    from postlude.bound import Bound
    from postlude.calls import Call, WhenRaised
    from postlude.request.desk import Desk


NOT_ASYNCIO: Final = "Postlude runs on asyncio, and this server runs the application on another event loop."

_WANTED_RETURNED: Final[frozenset[WhenRaised]] = frozenset({"discard", "keep"})
_WANTED_RAISED: Final[frozenset[WhenRaised]] = frozenset({"keep", "only"})
WANTED_SINCE: Final[frozenset[WhenRaised]] = _WANTED_RETURNED | _WANTED_RAISED


class Exchange:
    """One HTTP request."""

    # Defaults live on the class: a request that adds nothing pays for two attributes and not for twenty.
    tasks: BackgroundTasks | None = None
    """The injected object; None until a FastAPI endpoint is reached."""
    raised: BaseException | None = None
    """The exception that ended the endpoint, even if somebody has made an answer of it since."""
    sealed: bool = False
    over: bool = False
    refused: Exception | None = None
    """Why the commit at the seal failed: the client has its 503, and nothing else gets through."""
    _mistake: PostludeError | None = None
    """What is wrong with an entry that was put into the list by hand."""
    _answered: bool = False
    """The last message has gone out: whatever fails now, the client cannot be told."""
    _held: bool = False
    """The next message has to wait, or goes nowhere."""
    _wanted: frozenset[WhenRaised] = _WANTED_RETURNED
    """The calls that are kept when they are added after the seal."""
    _ephemeral: bool = False
    """There may be calls that cannot wait until the exchange is over."""
    _run_here: asyncio.Task[None] | None = None
    """What runs before the exchange is over."""
    _cut_off: bool = False
    """An ordered call did not succeed, and those behind it must not run."""
    _context: Context | None = None
    """Where Starlette would have run the tasks."""
    _commits: Commits | None = None
    """None as long as there was nothing to commit."""
    _bound: Sequence[Bound] = ()
    """Where calls wait for the commits of sessions."""
    _scope: Scope
    _loop: asyncio.AbstractEventLoop

    def __init__(self, desk: Desk, send: Send) -> None:
        self.desk = desk
        self._send = send

    # What the hooks tell it

    def begin(self, tasks: BackgroundTasks, scope: Scope) -> None:
        """The endpoint's dependencies are being resolved; `tasks` is what they and the endpoint get injected."""
        if self.tasks is None:
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                raise InstallError(NOT_ASYNCIO) from None
            self._scope = scope
        elif self.tasks is not tasks and self.tasks.tasks and not self.sealed:
            # A middleware calls the application once more: what the first time added went down with it.
            self.take(self.tasks, frozenset())
        self.tasks = tasks
        self.raised = None

    def note(self, error: BaseException) -> None:
        """An exception is on its way out, or is about to be answered by an exception handler."""
        # A middleware that raises cancels what it has called; the reason is its exception, which is seen second.
        if self.raised is None or isinstance(self.raised, asyncio.CancelledError):
            self.raised = error

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on to the client, when all that was promised before it is on disk."""
        # Not a coroutine function: on the way that nearly all messages take, one coroutine more would cost more than
        # all that there is to decide.
        if not self.sealed:
            if message["type"] == "http.response.start":
                self.sealed = True
                tasks = self.tasks
                if tasks is not None and tasks.tasks:
                    self._held = True
                    commits = self._own_commits()
                    commits.hold()
                    return self._seal(message, tasks, commits)
        elif self._held:
            return self._send_held(message)
        elif not message.get("more_body"):
            self._answered = True
        return self._send(message)

    async def finish(self, error: BaseException | None = None) -> None:
        """The ASGI call has ended, with `error` or without: commit what is not committed yet, and run it all."""
        if self.tasks is None:
            return
        if error is not None:
            self.note(error)
        try:
            await self._finish()
        except asyncio.CancelledError:
            if not self.over:
                in_background(self._finish())
            raise
        if error is None and self._mistake is not None:
            raise self._mistake
        if error is None and self._commits is not None and self._commits.broken is not None:
            raise self._commits.broken

    def added(self, tasks: BackgroundTasks) -> None:
        """A call was put into the list after the seal; in any thread."""
        if running_loop() is self._loop:
            self._take_late(tasks)
        else:
            # What the thread does next reaches the loop the same way, so it cannot overtake this.
            self._loop.call_soon_threadsafe(self._take_late, tasks)

    async def run_ephemeral(self) -> None:
        """The response runs its background: run what cannot wait until the exchange is over.

        The arguments of an ephemeral call (a session, an upload, the request) die with the request's dependencies. So
        it runs here, where Starlette would have run it, and before it the calls that it has to come after.
        """
        commits = self._commits
        if commits is None or not (commits.committed or self._held):
            return  # nothing is committed: not sealed yet, refused, or over
        self._context = copy_context()
        if self._held:
            await commits.ended()
        if self._ephemeral:
            self._ephemeral = False
            if self._cut_off:
                self._drop_cut_off(commits)
            if here := until_last_ephemeral(commits.committed):
                commits.committed = [call for call in commits.committed if call not in here]
                self._run_here = in_background(self._learn(here))
                await asyncio.shield(self._run_here)

    def open_ids(self) -> Collection[UUID]:
        """The ids of calls that cannot start before this exchange is over."""
        if self.over or self.tasks is None:
            return ()
        calls = [entry.call for entry in self.tasks.tasks if isinstance(entry, Entry)]
        if self._commits is not None:
            calls += [*self._commits.waiting, *self._commits.committed]
        return {call.id for call in calls}

    async def bind(self, session: object) -> Bound:
        """What takes the calls that are to be committed by a session of this request."""
        bound = await self.desk.bind(session, origin(self._scope))
        self._bound = [*self._bound, bound]
        return bound

    def unwinding(self, error: BaseException) -> bool:
        """Whether `error` is what has become of the exception that followed a 503."""
        return self.refused is not None and isinstance(error, Exception) and comes_of_refusal(error)

    # Taking calls from the list

    def take(self, tasks: BackgroundTasks, wanted: frozenset[WhenRaised]) -> list[Call]:
        """Empty the list; the calls in it that are wanted. The others are discarded."""
        taken = take_from(tasks, wanted, self.desk, instead=self.run_ephemeral, traced=is_traced(self._scope))
        self._mistake = taken.mistake or self._mistake
        for call in taken.calls:
            if call.ephemeral:
                self._ephemeral = True
        if taken.unwanted:
            self.desk.discard(taken.unwanted, self.raised)
        return taken.calls

    def _take_late(self, tasks: BackgroundTasks) -> None:
        if not self.sealed:
            return  # the seal was broken again, and the next one takes it
        calls = self.take(tasks, self._wanted)
        if not calls:
            return
        if self.refused is not None:
            self.desk.discard(calls, not_stored(self.refused))
        elif self.over:
            for call in calls:
                self._launch(call)
        else:
            self._held = True
            self._own_commits().add(calls)

    # Committing

    async def _seal(self, message: Message, tasks: BackgroundTasks, commits: Commits) -> None:
        """Commit what was added, then pass on the start of the response."""
        if self.raised is None:
            calls = self.take(tasks, _WANTED_RETURNED)
        else:
            calls = self.take(tasks, _WANTED_RAISED)
            self._wanted = WANTED_SINCE
        if self._mistake is not None:
            self.sealed = self._held = False
            mistake, self._mistake = self._mistake, None
            self.desk.discard([*commits.give_up(), *calls], mistake)
            raise mistake
        try:
            await commits.seal(calls)
        except Exception as error:
            self.refused = error
            self.desk.discard(commits.give_up(), not_stored(error))
            await send_refusal(self._scope, self._send)
            raise CommitRefused from error
        self._held = commits.release()
        await self._send(message)

    async def _send_held(self, message: Message) -> None:
        if self.refused is not None:
            return
        commits = self._own_commits()
        await commits.ended()
        if commits.broken is not None:
            raise commits.broken
        self._held = False
        await self.send(message)

    def _launch(self, call: Call) -> None:
        """Commit a call that belongs to no chain, and run it."""
        self._held = True
        self._own_commits().launch(call)

    def _own_commits(self) -> Commits:
        commits = self._commits
        if commits is None:
            commits = self._commits = Commits(self.desk, self._scope)
        commits.too_late = self._answered or self.over
        return commits

    # The end

    async def _finish(self) -> None:
        """Commit what is left, and run. It may be cancelled anywhere, and goes on from there when called again."""
        tasks = self.tasks
        if tasks is None:
            return
        if self._held or tasks.tasks or not self.sealed:
            await self._commit_rest(tasks)
        if self._run_here is not None:  # which goes on when the request is cancelled
            await asyncio.wait([self._run_here])
        if calls := self._close():
            await self.desk.run(calls)
        while self._commits is not None and (left := self._commits.left):  # of what was added by tasks that run already
            await asyncio.wait(left)

    async def _commit_rest(self, tasks: BackgroundTasks) -> None:
        if self.sealed:
            self._take_late(tasks)
        else:
            # No answer, or one that the server makes of the exception: nothing is left to refuse.
            self.sealed = self._answered = True
            if calls := self.take(tasks, _WANTED_RAISED):
                self._own_commits().add(calls)
            self._wanted = WANTED_SINCE
        if self._commits is not None:
            await self._commits.ended()

    def _close(self) -> Sequence[Call]:
        """Have the exchange over; returns the calls that run now."""
        self.over = True
        # Two objects that point at each other would stay in memory until the garbage collector comes.
        for bound in self._bound:
            bound.end(failed=self.raised is not None)
        self.tasks = self.raised = None
        commits = self._commits
        if commits is None:
            return ()
        if self._cut_off:
            self._drop_cut_off(commits)
        calls, commits.committed = commits.committed, ()
        context, self._context = self._context, None  # which holds this exchange, in a context variable
        if context is not None:
            for call in calls:
                call.context = context.copy()
        return calls

    async def _learn(self, here: Sequence[Call]) -> None:
        self._cut_off |= await self.desk.run_here(here) is False

    def _drop_cut_off(self, commits: Commits) -> None:
        """Let go of the ordered calls behind one that did not succeed: the store has cancelled them already."""
        if dropped := [call for call in commits.committed if call.options.ordered]:
            commits.committed = [call for call in commits.committed if not call.options.ordered]
            self.desk.discard(dropped, OneBeforeFailed())
