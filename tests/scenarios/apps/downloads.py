"""A file that is given away, and then removed."""

import os
from pathlib import Path

from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import FileResponse

from postlude import Postlude

SIZE = 30_000_000
"""More than the buffers between the server and a client that does not read."""

app = FastAPI()
durable = Postlude(app)


@app.get("/report")
def report(background_tasks: BackgroundTasks) -> FileResponse:
    path = Path("report.csv").resolve()
    path.write_bytes(bytes(SIZE))
    background_tasks.add_task(os.remove, str(path))
    return FileResponse(path)
