"""Who may see a job, and who may do something with it: the application's own dependency says so."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple
from uuid import UUID  # noqa: TC003 - FastAPI reads the annotations

from fastapi import Depends, HTTPException, Path
from starlette.requests import Request  # noqa: TC002

from postlude.client.handle import Job
from postlude.errors import CallError, IllegalTransition, JobNotFound, KeyTaken, StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from postlude.client.jobs import Jobs
    from postlude.stores.gate import Role

_JOBS: Final = "postlude.jobs"
_ASKED: Final = "postlude.asked"
"""Where a request's scope has the jobs of the router, and what was found out about the one that was asked for."""
_UNNAMED: Final = "unnamed"
"""What the audit log calls a caller whose name `authorize` does not give."""
AGAIN: Final = {"retry-after": "1"}


class Visitor(NamedTuple):
    """Who asks, as `authorize` says it."""

    name: str
    """As the audit log has it."""
    role: Role
    by_token: bool = False
    """Whether they have signed in to the dashboard with a link, and so can sign out there."""


class Asked(NamedTuple):
    """A job, and what the caller may do with it."""

    job: Job[Any]
    caller: Visitor | None
    """None: `authorize` is not there to ask, and nothing but state and progress is told."""

    @property
    def role(self) -> Role | None:
        """`"view"`: see all that is shown of it; `"act"`: cancel and retry it, too; None: see state and progress."""
        return None if self.caller is None else self.caller.role


async def _requested(request: Request, job_id: Annotated[UUID, Path(description="The id of the job.")]) -> Job[Any]:
    jobs: Jobs | None = request.scope.get(_JOBS)
    if jobs is None:
        message = "RequestedJob was used outside durable.router(): only its routes have the id of a job in their path."
        raise CallError(message)
    async with answering():
        return await jobs.get(job_id)


RequestedJob = Annotated[Job[Any], Depends(_requested)]
"""The annotation with which `authorize`, and what it depends on, gets the job that was asked for."""


def dependencies(jobs: Jobs, authorize: Callable[..., Any] | None) -> list[Any]:
    """What the routes depend on, in this order, so that each of them finds `asked` in its request."""

    async def give(request: Request) -> None:
        request.scope[_JOBS] = jobs

    async def ask(request: Request, job: RequestedJob, allowed: object = Depends(authorize or _nobody)) -> None:
        request.scope[_ASKED] = Asked(job, None if authorize is None else _caller(allowed))

    return [Depends(give), Depends(ask)]


async def _nobody() -> None:
    """Nobody was asked."""


def _caller(allowed: Any) -> Visitor:  # noqa: ANN401 - whatever a user's function gives
    if isinstance(allowed, Visitor) and allowed.role in ("view", "act"):
        return allowed
    if allowed is True or allowed in ("view", "act"):
        return Visitor(_UNNAMED, "act" if allowed is True else allowed)
    if allowed is None or allowed is False:
        # Not 403, which would tell that there is such a job. None, so that a forgotten `return` opens nothing.
        raise HTTPException(404, NOT_FOUND)
    message = (
        'authorize: expected True or "act", "view", a Visitor(name, role), or False for who is not to see the job, '
        f"got {allowed!r} from it."
    )
    raise CallError(message)


NOT_FOUND: Final = "There is no such job."


async def asked(request: Request) -> Asked:
    """The job that was asked for; a dependency of the routes."""
    found: Asked | None = request.scope.get(_ASKED)
    if found is None:  # its id is none: FastAPI leaves out what depends on it, and goes on
        raise HTTPException(404, NOT_FOUND)
    return found


async def asked_to_see(request: Request) -> Asked:
    """The same, for what not everybody may see."""
    found = await asked(request)
    if found.role is None:
        message = "Only the state and the progress of a job are told here: durable.router() was given no authorize=."
        raise HTTPException(403, message)
    return found


async def asked_to_act(request: Request) -> Asked:
    """The same, for what changes the job."""
    found = await asked_to_see(request)
    if found.role != "act":
        raise HTTPException(403, "You may see this job, and not change it.")
    return found


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Answer with what a caller can make use of, in place of what is said to the developer."""
    try:
        yield
    except JobNotFound:
        raise HTTPException(404, NOT_FOUND) from None
    except KeyTaken:
        raise HTTPException(409, "Another job has taken the place of this one.") from None
    except IllegalTransition as error:
        raise HTTPException(409, f"This job is {error.state}: that is not possible then.") from None
    except StoreError as error:
        raise HTTPException(503, "That cannot be told at the moment. Try again.", AGAIN) from error
