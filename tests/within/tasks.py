"""A task that several processes know, by one name."""

from tests.face.holding import ran


def note(what: str) -> str:
    ran.append(what)
    return f"noted {what}"
