"""The analytics service: a question and a table in, 202 and a job out; then its state, its page, its JSON and CSV."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from postlude import BackgroundTasks, Job, JobNotFound, Jobs, JobState, Postlude
from postlude.executors import Processes
from reports import storage
from reports.answer import Answer, as_csv
from reports.asking import BODY, Asking, AskingOf
from reports.pages import Pages
from reports.question import Question, Refused
from reports.settings import settings
from reports.status import Status, problem, status
from reports.storage import Data, Folder, reaching
from reports.table import opened
from reports.tasks import CHILDREN, make_report, make_report_on_cluster, remove_upload

TASKS = {"make-report", "make-report-on-cluster"}
AFTER_REQUESTS = 15
"""How willingly the processes of reports let others have the processor (0 to 19): requests are answered first."""
AWAY = "The tables cannot be reached just now. Please ask again in a minute."
NONE_SUCH = "There is no such report, or none any more."

router = APIRouter(tags=["reports"])
pages = Pages()


def reports(durable: Postlude) -> APIRouter:
    """The routes of the service, for an application to include, beside `durable.router()`.

    Args:
        durable: that of the application, before it starts.
    """
    durable.executors.register(CHILDREN, Processes(nice=AFTER_REQUESTS))
    if settings().reports_cluster:
        durable.executors.register("cluster", _cluster)
    return router


def _cluster() -> Any:  # noqa: ANN401 - an executor, of a library that is installed only where there is a cluster
    from distributed import Client  # noqa: PLC0415 - as said

    return Client(settings().reports_cluster).get_executor()  # type: ignore[no-untyped-call]  # it has no types


@contextmanager
def told_when_away() -> Iterator[None]:
    """Whoever asks while the tables cannot be reached is told so, and when to ask again."""
    try:
        yield
    except OSError as away:
        raise HTTPException(503, AWAY, {"Retry-After": "30"}) from away


# Asking


@router.get("/reports", response_class=HTMLResponse)
def ask() -> Response:
    """A page to ask from."""
    with told_when_away(), reaching():
        found = [(name, _beside(name)) for name in storage.data_sets()]
    return pages.ask([(name, _questions(text)) for name, text in found])


@router.post("/reports", status_code=202, response_model=Status, openapi_extra=BODY)
async def add_report(asking: AskingOf, request: Request, tasks: BackgroundTasks) -> Response:
    """Ask; what cannot be answered is refused at once, as far as the question and the beginning of the table tell."""
    try:
        with told_when_away():
            job = await _added(tasks, asking, await asyncio.to_thread(_data, asking))
    except Refused as refused:
        raise HTTPException(422, str(refused)) from refused
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(f"/reports/{job.id}/page", 303)
    content = status(job).model_dump(mode="json")
    return JSONResponse(content, 202, {"Location": f"/reports/{job.id}", "Retry-After": "1"})


async def _added(tasks: BackgroundTasks, asking: Asking, data: Data) -> Job[Answer]:
    """Add the report. Its job is stored when the request is answered, so what is refused here leaves nothing.

    Raises:
        Refused: the table and the question do not fit.
    """
    on_cluster = settings().reports_cluster and data.files > 1
    job = tasks.add_task(make_report_on_cluster if on_cluster else make_report, data, asking.question)
    if asking.file is None:
        await asyncio.to_thread(_check, asking.question, data, job.id)
        return job
    tasks.add_task(remove_upload, job.id)
    await asyncio.to_thread(storage.keep, job.id, asking.file[1])
    try:
        await asyncio.to_thread(_check, asking.question, data, job.id)
    except Exception:
        await asyncio.to_thread(storage.remove, job.id)
        raise
    return job


def _data(asking: Asking) -> Data:
    return storage.data_set(asking.data or "") if asking.file is None else storage.sent(*asking.file)


def _check(question: Question, data: Data, job: UUID) -> None:
    with opened(storage.files_of(data, job)) as table:
        question.check(table.columns)


def _beside(name: str) -> bytes:
    """The questions beside a data set, for whoever does not know yet what to ask: `flights.parquet.questions.json`."""
    folder = Folder(settings().reports_data)
    path = folder.path(f"{name}.questions.json")
    found: bytes = folder.fs.cat_file(path) if folder.fs.exists(path) else b"[]"
    return found


def _questions(text: bytes) -> list[Question]:
    return [Question.model_validate(each) for each in json.loads(text)]


# Being told


async def _found(report: UUID, jobs: Jobs) -> Job[Answer]:
    try:
        job = await jobs.get(report)
    except JobNotFound:
        raise HTTPException(404, NONE_SUCH) from None
    if job.task not in TASKS:
        raise HTTPException(404, NONE_SUCH)
    return job


Report = Annotated[Job[Answer], Depends(_found)]


async def _answered(job: Report) -> Answer:
    if job.state is not JobState.SUCCEEDED:
        raise HTTPException(409, problem(job) or "The report is not ready yet.")
    return job.result


Answered = Annotated[Answer, Depends(_answered)]


@router.get("/reports/{report}")
async def report_status(job: Report) -> Status:
    """Where it is."""
    return status(job)


@router.post("/reports/{report}/cancel")
async def cancel(job: Report) -> Status:
    """Stop it at once: its process is killed with the query."""
    if job.state.finished:
        raise HTTPException(409, f"It has {job.state} already.")
    return status(await job.cancel(reason="whoever asked for it has cancelled it"))


@router.get("/reports/{report}/answer.json")
async def as_json(answer: Answered) -> Answer:
    """The answer, for programs."""
    return answer


@router.get("/reports/{report}/answer.csv", response_class=Response)
async def in_csv(answer: Answered) -> Response:
    """The answer, for spreadsheets."""
    headers = {"Content-Disposition": 'attachment; filename="report.csv"'}
    return Response(as_csv(answer), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/reports/{report}/page", response_class=HTMLResponse)
async def page(job: Report) -> Response:
    """The answer, for people; until it is there, how far it has come."""
    if job.state is JobState.SUCCEEDED:
        return await asyncio.to_thread(pages.answer, job.id, job.result)
    return pages.waiting(status(job))
