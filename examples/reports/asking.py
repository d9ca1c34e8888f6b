"""What a request asks: a question and a table, as JSON or as a form with a file, read no further than is allowed."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import IO, Annotated, Any, NamedTuple

from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message, Receive

from reports.question import Question, Refused
from reports.settings import MEGABYTE, settings

MOST_JSON = MEGABYTE
FORM = "multipart/form-data"


class Asked(BaseModel):
    """`POST /reports` as JSON."""

    data: str
    """The name of a data set."""
    question: Question


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": Asked.model_json_schema(ref_template="#/components/schemas/{model}")},
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["question"],
                    "properties": {
                        "question": {"type": "string", "description": "As in JSON."},
                        "file": {"type": "string", "format": "binary", "description": "CSV UTF-8, or Parquet."},
                        "data": {"type": "string", "description": "Without a file: the name of a data set."},
                    },
                }
            },
        },
    }
}
"""What `POST /reports` takes, for the documentation of the API."""


class Asking(NamedTuple):
    """What is asked, however it came."""

    question: Question
    data: str | None
    """The name of a data set."""
    file: tuple[str, IO[bytes]] | None
    """Or one that was sent, with its name."""


async def asking(request: Request) -> AsyncIterator[Asking]:
    """Read the request; its file is there until the request is over.

    Raises:
        HTTPException: 413: it is too large, and the rest of it was not read; 422: it asks nothing that we know.
    """
    is_form = request.headers.get("content-type", "").startswith(FORM)
    most = settings().reports_upload_mb * MEGABYTE + MOST_JSON if is_form else MOST_JSON
    request = Request(request.scope, _bounded(request, most))
    async with AsyncExitStack() as stack:
        try:
            if is_form:
                form = await stack.enter_async_context(request.form(max_files=1, max_fields=50))
                found = _of_form(form)
            else:
                asked = Asked.model_validate_json(await request.body())
                found = Asking(asked.question, asked.data, None)
        except ValidationError as error:
            raise HTTPException(422, in_words(error)) from error
        except Refused as error:
            raise HTTPException(422, str(error)) from error
        yield found


AskingOf = Annotated[Asking, Depends(asking)]


def _bounded(request: Request, most: int) -> Receive:
    """Receive no more than so many bytes of the body: it is refused while it arrives, and not when it is there."""
    detail = f"This is larger than the {most / MEGABYTE:,.0f} MB that may be sent."
    too_large = HTTPException(413, detail, {"Connection": "close"})  # else the server would read on, to its end
    if int(request.headers.get("content-length", 0)) > most:
        raise too_large
    arrived = 0

    async def receive() -> Message:
        nonlocal arrived
        message = await request.receive()
        arrived += len(message.get("body", b""))
        if arrived > most:
            raise too_large
        return message

    return receive


def _of_form(form: FormData) -> Asking:
    """A form has `question` as JSON, or the fields of the page; and `file`, or the name of a data set in `data`."""
    texts = {name: value for name, value in form.items() if isinstance(value, str) and value.strip()}
    question = Question.model_validate_json(texts["question"]) if "question" in texts else _of_fields(texts)
    file = form.get("file")
    if isinstance(file, UploadFile) and (file.size or file.filename):
        return Asking(question, None, (file.filename or "", file.file))
    if "data" not in texts:
        raise Refused("Send a `file`, or name a data set in `data`.")
    return Asking(question, texts["data"], None)


def _of_fields(texts: Mapping[str, str]) -> Question:
    """The question of somebody who fills in the page."""
    measure: dict[str, Any] = {name: texts[name] for name in ("what", "of", "unit") if name in texts}
    if "number" in texts:
        measure["percentile" if texts.get("what") == "percentile" else "above"] = texts["number"]
    asked: dict[str, Any] = {"measures": [measure], **{name: texts[name] for name in ("title", "top") if name in texts}}
    asked["group_by"] = [column.strip() for column in texts.get("group_by", "").split(",") if column.strip()]
    if "bucket" in texts:
        asked["bucket"] = {"column": texts["bucket"], "by": texts.get("by", "month")}
    return Question.model_validate_json(json.dumps(asked), strict=False)


def in_words(error: ValidationError) -> str:
    """What is wrong with it, and where."""
    found = []
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(part) for part in each["loc"])
        found.append(f"{where}: {each['msg'].removeprefix('Value error, ')}" if where else each["msg"])
    return "; ".join(dict.fromkeys(found))[:2000] + "."
