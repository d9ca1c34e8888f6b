"""A script that starts its own server, to be restarted at each change of the code; it tells its grace."""

import sys
from pathlib import Path

import uvicorn
from fastapi import BackgroundTasks, FastAPI

from postlude import Postlude

app = FastAPI()
durable = Postlude(app)


@app.get("/grace")
def grace(tasks: BackgroundTasks) -> float:
    return durable.settings.shutdown_grace


if __name__ == "__main__":
    uvicorn.run(
        f"{__package__}.started_by_script:app",
        host="127.0.0.1",
        port=int(sys.argv[1]),
        reload=True,
        reload_dirs=[str(Path.cwd())],
    )
