"""Both services and the dashboard in one application: `uvicorn services:app`, started in this folder."""

from fastapi import Depends

from notifications.main import app, durable
from notifications.routes import allowed
from reports.service import reports

__all__ = ["app", "durable"]

# Where callers of the mail have to show a key, those of the reports have to, too.
app.include_router(reports(durable), dependencies=[Depends(allowed)])
app.mount("/postlude", durable.dashboard())
