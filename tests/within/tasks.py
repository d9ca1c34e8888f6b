"""Tasks that several processes and tests know, each by one name."""

from postlude import task
from tests.face.holding import ran


def note(what: str) -> str:
    ran.append(what)
    return f"noted {what}"


@task(key="one")
def note_once(what: str) -> str:
    ran.append(what)
    return what
