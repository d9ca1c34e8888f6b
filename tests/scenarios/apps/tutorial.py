"""The program of FastAPI's tutorial on background tasks, and one line more."""

from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude

app = FastAPI()
durable = Postlude(app)


def write_notification(email: str, message: str = "") -> None:
    with open("log.txt", mode="w") as email_file:  # noqa: PTH123 - as the tutorial has it
        content = f"notification for {email}: {message}"
        email_file.write(content)


@app.post("/send-notification/{email}")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_notification, email, message="some notification")
    return {"message": "Notification sent in the background"}
