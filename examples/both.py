"""Both services in one application, and the dashboard beside them: what `make run` starts, and what is deployed."""

from fastapi import Depends

from notifications.main import app, durable
from notifications.routes import allowed
from reports.service import reports

app.title = "Notifications and reports"
# Where callers of the mail have to show a key, those of the reports have to, too.
app.include_router(reports(durable), dependencies=[Depends(allowed)])
app.mount("/postlude", durable.dashboard())
