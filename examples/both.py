"""Both services in one application, and the dashboard beside them: what `make run` starts."""

from notifications.main import app, durable
from reports.service import reports

app.title = "Notifications and reports"
app.include_router(reports(durable))
app.mount("/postlude", durable.dashboard())
