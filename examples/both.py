"""Both services in one application, and the dashboard beside them: what `make run` starts, and what is deployed."""

from fastapi import Depends
from fastapi.responses import HTMLResponse

from notifications.main import app, durable
from notifications.routes import allowed
from reports.service import reports

START = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <meta name="color-scheme" content="light dark">
    <title>Notifications and reports</title>
    <style>
      body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 12vh auto 0; padding: 0 1.5rem }
      h1 { font-size: 1.4rem }
      dt { margin-top: 1.25rem; font-size: 1.1rem; font-weight: 600 }
      dd { margin: 0 }
      code { white-space: nowrap }
    </style>
  </head>
  <body>
    <h1>Two services whose background tasks survive</h1>
    <dl>
      <dt><a href="reports">Reports</a></dt>
      <dd>Ask a question of a table, and watch the answer being worked out.</dd>
      <dt><a href="outbox">Outbox</a></dt>
      <dd>The mails that were sent, as long as they go into a folder. <a href="docs">Send one</a> with
        <code>POST /notifications</code>.</dd>
      <dt><a href="postlude/">Dashboard</a></dt>
      <dd>The jobs behind both. The link that lets you in stands in the terminal.</dd>
    </dl>
  </body>
</html>
"""

app.title = "Notifications and reports"
# Where callers of the mail have to show a key, those of the reports have to, too.
app.include_router(reports(durable), dependencies=[Depends(allowed)])
app.mount("/postlude", durable.dashboard())


@app.get("/", include_in_schema=False)
async def start() -> HTMLResponse:
    return HTMLResponse(START)
