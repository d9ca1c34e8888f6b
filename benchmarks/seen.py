"""The application under load with a dashboard that everybody may look at."""

from __future__ import annotations

from benchmarks.served import app, durable

app.mount("/postlude", durable.dashboard(authorize=lambda: "view"))
