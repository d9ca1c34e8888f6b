"""The routes of `durable.router()`: where a job is, what it came to, and what its caller may do with it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Depends, Header, HTTPException, Response
from fastapi.exceptions import FastAPIError
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations

from postlude.accepting import EVENTS, RETRY_AFTER, STATUS, path_of
from postlude.api import access
from postlude.api.access import Asked, answering
from postlude.api.answers import JobDetails, JobStatus, Problem
from postlude.api.events import EventRoute, EventStream, JobEvents, Place
from postlude.api.showing import Showing
from postlude.client.handle import arguments_of
from postlude.errors import CallError, ResultDoesNotFit, ResultNotStored
from postlude.job import JobState
from postlude.stores.gate import AuditLine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from postlude.client.handle import Job
    from postlude.client.jobs import Jobs
    from postlude.clock import Clock
    from postlude.services.streams import Hub
    from postlude.stores.contract import Store
    from postlude.stores.gate import Role
    from postlude.views.records import Known
    from postlude.views.values import Shown as Values

LONGEST_WAIT: Final = 60
"""Seconds that `Retry-After` says at most, however far away the moment is at which a job is due."""
NOT_KEPT: Final = {"cache-control": "no-store"}
_EVENT: Final = {
    "event": {"type": "string", "enum": ["state", "progress", "log", "end"]},
    "id": {"type": "string"},
    "data": {"type": "string", "contentMediaType": "application/json"},
    "retry": {"type": "integer"},
}
_STREAM: Final = {"schema": {"type": "array"}, "itemSchema": {"type": "object", "properties": _EVENT}}
"""How OpenAPI describes a stream from 3.2 on; FastAPI does so too, for its own."""


class Sources(NamedTuple):
    """Of what the routes are made."""

    jobs: Jobs
    hub: Hub
    known: Known
    clock: Clock
    opened: Callable[[], Awaitable[Store]]
    """Gives the store, opened in this process."""


def make_router(sources: Sources, authorize: Callable[..., Any] | None) -> APIRouter:
    """See `Postlude.router`."""
    if authorize is not None and not callable(authorize):
        message = f"durable.router(authorize=): expected a function that FastAPI can depend on, got {authorize!r}."
        raise CallError(message)
    try:
        depends = access.dependencies(sources.jobs, authorize)
        router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=depends, responses=_problems(404, 503))
        _Routes(sources, open_to_all=authorize is None).add_to(router)
    except FastAPIError as error:
        message = (
            "durable.router(authorize=): expected a dependency whose parameters FastAPI can fill in; the one for the "
            f"job is annotated with postlude.api.RequestedJob. FastAPI says: {error}"
        )
        raise CallError(message) from error
    return router


class _Routes:
    """What answers.

    Args:
        sources: of what.
        open_to_all: whether only state and progress are told, to whoever has the id.
    """

    def __init__(self, sources: Sources, *, open_to_all: bool) -> None:
        self._jobs, self._hub, known, self._clock, self._opened = sources
        self._showing = Showing(sources.jobs, known)
        self._open_to_all = open_to_all

    def add_to(self, router: APIRouter) -> None:
        """Add all of them."""
        model = JobStatus if self._open_to_all else JobDetails
        owned: dict[str, Any] = {"include_in_schema": not self._open_to_all}
        router.add_api_route("/{job_id}", self.status, methods=["GET"], name=STATUS, response_model=model)
        router.add_api_route(
            "/{job_id}/result",
            self.result,
            methods=["GET"],
            name="postlude_job_result",
            response_model=None,
            responses={200: {"description": "What the task returned"}, **_not_yet(model), **_problems(403, 409)},
            **owned,
        )
        for act, status in ((self.cancel, 200), (self.retry, 202)):
            router.add_api_route(
                f"/{{job_id}}/{act.__name__}",
                act,
                methods=["POST"],
                name=f"postlude_job_{act.__name__}",
                response_model=model,
                status_code=status,
                responses={**_not_yet(model), **_problems(403, 409)},
                **owned,
            )
        said = "Events `state`, `progress` and `log`, and at last `end`; each has as its data JSON in one line."
        router.add_api_route(
            "/{job_id}/events",
            self.events,
            methods=["GET"],
            name=EVENTS,
            # Said, since FastAPI would look for it in the signature of the response.
            status_code=200,
            response_class=EventStream,
            response_model=None,
            responses={
                # A model would be said to come as events, too.
                **{status: _as_json(problem) for status, problem in router.responses.items()},
                200: {"description": said, "content": {"text/event-stream": _STREAM}},
                204: {"description": "It has ended, and all was told: do not ask again"},
            },
            route_class_override=EventRoute,
        )

    async def status(self, asked: Annotated[Asked, Depends(access.asked)], response: Response) -> JobStatus:
        """Where the job is."""
        return self._answer(asked.job, response, role=asked.role)

    async def result(
        self, asked: Annotated[Asked, Depends(access.asked_to_see)], request: Request, response: Response
    ) -> object:
        """What the job's task returned; 202 as long as it has not ended."""
        job = asked.job
        if not job.state.finished:
            response.status_code = 202
            response.headers["location"] = path_of(request.scope, STATUS, str(job.id))
            return self._answer(job, response, role=asked.role)
        if job.state is not JobState.SUCCEEDED:
            why = self._showing.details(job).reason or ""
            raise HTTPException(409, f"This job has no result: it is {job.state}. {why}".rstrip())
        try:
            return Response(self._showing.result(job), headers=NOT_KEPT, media_type="application/json")
        except (ResultNotStored, ResultDoesNotFit):
            raise HTTPException(404, "This job has succeeded, and its result cannot be shown.") from None

    async def cancel(self, asked: Annotated[Asked, Depends(access.asked_to_act)], response: Response) -> JobStatus:
        """Cancel the job; 202 while it still runs, and was asked to end."""
        async with answering():
            job = await self._jobs.cancel(asked.job.id)
            await self._note(asked, "cancel")
        if not job.state.finished:
            response.status_code = 202
        return self._answer(job, response, role=asked.role)

    async def retry(self, asked: Annotated[Asked, Depends(access.asked_to_act)], response: Response) -> JobStatus:
        """Have the job run again, if it has failed or was cancelled."""
        async with answering():
            job = await self._jobs.retry(asked.job.id)
            await self._note(asked, "retry")
        return self._answer(job, response, role=asked.role)

    async def _note(self, asked: Asked, action: str) -> None:
        """Write into the audit log that a caller did it."""
        who = "" if asked.caller is None else asked.caller.name
        line = AuditLine.of(self._clock.now(), who, "caller", action, str(asked.job.id))
        await (await self._opened()).gate.add_audit(line)

    async def events(
        self,
        asked: Annotated[Asked, Depends(access.asked)],
        last_event_id: Annotated[str | None, Header(description="The id of the last event that was got.")] = None,
    ) -> Response:
        """What becomes of the job, as server-sent events, until it has ended."""
        place = Place.read(last_event_id)
        if place.ended and asked.job.state.finished:
            return Response(status_code=204)  # at which an EventSource comes again no more
        job = asked.job

        async def anew() -> Values:
            read = await self._jobs.get(job.id)
            # What was erased at its end may be what it had.
            return self._showing.values(read if arguments_of(read) else job)

        events = JobEvents(
            self._hub,
            self._showing,
            self._showing.values(job),
            None if job.key is None else anew,
            all_of_it=asked.role is not None,
            place=place,
        )
        return EventStream(events.told(job.id))

    def _answer(self, job: Job[Any], response: Response, *, role: Role | None) -> JobStatus:
        response.headers.update(NOT_KEPT)
        if not job.state.finished:
            response.headers["retry-after"] = str(self._due_in(job))
        return self._showing.status(job, all_of_it=role is not None)

    def _due_in(self, job: Job[Any]) -> int:
        """Seconds until it is worth asking again."""
        due = 0.0 if job.run_at is None else job.run_at.timestamp() - self._clock.now()
        return max(RETRY_AFTER, min(math.ceil(due), LONGEST_WAIT))


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    said = {
        403: "Not yours to see, or to change",
        404: "There is no such job, or none that is shown to you",
        409: "Not possible in the state in which the job is",
        503: "The jobs cannot be reached at the moment",
    }
    return {status: {"model": Problem, "description": said[status]} for status in statuses}


def _as_json(problem: dict[str, Any]) -> dict[str, Any]:
    """The same without its model, which other routes have made known."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{problem['model'].__name__}"}}}
    return {"description": problem["description"], "content": content}


def _not_yet(model: type[JobStatus]) -> dict[int | str, dict[str, Any]]:
    return {202: {"model": model, "description": "It has not ended"}}
