"""The service by itself: `uvicorn reports.main:app`, started in the folder above this one."""

from fastapi import FastAPI

from postlude import Postlude
from reports.service import reports

app = FastAPI(title="Reports")
durable = Postlude(app)
app.include_router(reports(durable))
app.include_router(durable.router())  # /jobs/{id}/events, among others
