"""The application whose answers are measured while reports run: one plain endpoint, and the analytics service."""

from __future__ import annotations

from fastapi import FastAPI

from postlude import Concurrency, Postlude
from reports.service import reports

app = FastAPI()
durable = Postlude(app, concurrency=Concurrency(processes=4))
app.include_router(reports(durable))


@app.get("/ping")
async def ping() -> dict[str, str]:
    return {"message": "pong"}
