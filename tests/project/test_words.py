"""One word for each concept: the names in the source avoid the synonyms that other projects use.

Only words that have no honest second use here are listed: a lock, a message, a signal or a handler also is something
else (a file's, ASGI's, the operating system's, Starlette's), so those are left to the reviewer.
"""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = sorted((ROOT / "src").rglob("*.py"))
SQL = sorted((ROOT / "src").rglob("*.sql"))

WORD_INSTEAD_OF = {
    "ack": "settle",
    "acked": "settled",
    "acknowledge": "settle",
    "actor": "task",
    "beat": "schedule",
    "broker": "store",
    "consumer": "worker",
    "cronjob": "schedule",
    "dequeue": "claim",
    "dequeued": "claimed",
    "disposition": "outcome",
    "entrypoint": "task",
    "heartbeat": "extend",
    "heartbeats": "extend",
    "periodic": "schedule",
    "pipeline": "chain",
    "poke": "notify",
    "reap": "rescue",
    "reaped": "rescued",
    "reaper": "rescue",
    "repository": "store",
    "sweep": "rescue",
    "sweeper": "rescue",
}


def words(identifier: str) -> set[str]:
    """Split ``claim_jobs`` and ``ClaimJobs`` into claim and jobs."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", identifier)}


def identifiers(path: Path) -> dict[str, int]:
    """Every name of the file, with the last line where it stands."""
    text = path.read_text("utf-8")
    if path.suffix == ".sql":
        lines = [line.partition("--")[0] for line in text.splitlines()]
        return {found: number for number, line in enumerate(lines, 1) for found in re.findall(r"[A-Za-z_]+", line)}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.string: token.start[0] for token in tokens if token.type == tokenize.NAME}


@pytest.mark.parametrize("path", PYTHON + SQL, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_use_the_glossary(path: Path) -> None:
    wrong = [
        f"line {line}: {identifier}, say {WORD_INSTEAD_OF[word]}"
        for identifier, line in identifiers(path).items()
        for word in sorted(words(identifier) & WORD_INSTEAD_OF.keys())
    ]
    assert not wrong, "\n".join(wrong)
