"""The program of FastAPI's tutorial on background tasks, with one new line, and beside it a service that sends mail."""

import os
import time

from fastapi import BackgroundTasks, FastAPI

from notifications.routes import allowed, router
from postlude import Postlude

SECONDS = float(os.environ.get("NOTIFICATION_SECONDS", "10"))

app = FastAPI(title="Notifications")
durable = Postlude(app)  # the only new line: every add_task below survives a crash
app.include_router(router)
app.include_router(durable.router(authorize=allowed))


def write_notification(email: str, message: str = "") -> None:
    time.sleep(SECONDS)
    with open("log.txt", "a", encoding="utf-8") as email_file:
        email_file.write(f"notification for {email}: {message}\n")


@app.post("/send-notification/{email}")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_notification, email, message="some notification")
    return {"message": "Notification sent in the background"}
