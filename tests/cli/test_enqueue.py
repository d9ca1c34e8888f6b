"""`postlude enqueue`: each task of the application from a command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from postlude import task
from postlude.cli.noting import me
from postlude.codec import MAX_ARGUMENTS
from tests.cli.conftest import APP, Desk


@task(name="post.send")
def send(to: str) -> None: ...


def call_of(desk: Desk, job_id: str) -> Any:
    return json.loads(desk.record(job_id).arguments or "")


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        (("shop.send", "--to", "1", "--count", "2"), {"to": "1", "count": 2}),
        (
            ("shop.send", "--to=a", "--urgent", "--when", "2026-11-23"),
            {"to": "a", "urgent": True, "when": "2026-11-23"},
        ),
        (
            ("shop.report", "--order", '{"id": 4}', "--tags", "a", "--tags", "b"),
            {"order": {"id": 4}, "tags": ["a", "b"]},
        ),
        (("shop.report", "--order", '{"id": 4}', "--wait", "3"), {"order": {"id": 4}, "wait": 3}),
    ],
)
def test_the_arguments_are_read_by_the_annotations(desk: Desk, words: tuple[str, ...], stored: Any) -> None:
    job_id = desk.says("enqueue", "--app", APP, *words).strip()
    assert call_of(desk, job_id) == {"args": [], "kwargs": stored}


def test_what_has_no_name_is_given_by_its_place(desk: Desk) -> None:
    job_id = desk.says("enqueue", "--app", APP, "plain_words", "seven", "8", "9", "--more", '{"x": 1}').strip()
    assert call_of(desk, job_id) == {"args": ["seven", 8, 9], "kwargs": {"x": 1.0}}


def test_all_that_does_not_fit_is_said_at_once(desk: Desk) -> None:
    words = ("shop.report", "--order", '{"note": "x"}', "--numbers", "many", "--wait", "long")
    said = desk.refuses("enqueue", "--app", APP, *words, code=2)
    assert "shop.report: order: id: Field required" in said
    assert "shop.report: numbers: 0: Input should be a valid integer" in said
    assert (
        "shop.report: wait: Input should be a valid integer, unable to parse string as an integer, got 'long'" in said
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("sennd", "--to", "ada"), 3, "has no task 'sennd'. Did you mean 'send'? `postlude tasks list` shows"),
        (("shop.send",), 2, "Missing option '--to'"),
        (("shop.send", "--too", "ada", "--to", "ada"), 2, "No such option: --too"),
        (
            ("shop.send", "--to", "a", "--delay", "soon"),
            2,
            "--delay: expected a duration such as 90s, 10m, 2h or 1d12h",
        ),
        (("shop.send", "--to", "a", "--priority", "1000"), 2, "priority"),
        (("shop.send", "--to", "a", "--timeout", "5"), 2, "--timeout is of --wait"),
        (("shop.send", "--to", "a" * MAX_ARGUMENTS), 2, "shop.send"),
    ],
)
def test_what_is_no_call_is_refused(desk: Desk, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in desk.refuses("enqueue", "--app", APP, *words, code=code)


def test_a_name_that_two_tasks_have_is_not_guessed(desk: Desk) -> None:
    said = desk.refuses("enqueue", "--app", APP, "send", "--to", "a", code=3)
    assert "'send' may be post.send or shop.send: write it as that." in said


def test_the_options_of_the_job_stand_before_or_behind_the_task(desk: Desk) -> None:
    job = desk.answers(
        "enqueue", "--app", APP, "--queue", "slow", "shop.send", "--to", "a", "--key", "k", "--delay", "1h"
    )
    record = desk.record(job["id"])
    assert (record.queue, record.key, job["task"], job["state"]) == ("slow", "k", "shop.send", "queued")
    assert record.run_at == pytest.approx(record.created_at + 3600, abs=60)
    assert json.loads(record.origin or "") == {"command": "postlude enqueue"}


def test_who_added_what_is_in_the_audit_log(either: Desk) -> None:
    job = either.answers("enqueue", "--app", APP, "shop.send", "--to", "ada", "--password", "hunter2")
    (line,) = either.on_store(lambda store: store.gate.audit(limit=9))
    assert (line.who, line.role, line.action, line.target) == (me(), "cli", "enqueue", job["id"])
    assert json.loads(line.details or "") == {"task": "shop.send"}
    assert "hunter2" not in str(line)


def test_a_key_that_is_taken_is_answered_by_its_holder(desk: Desk) -> None:
    first, second = (desk.says("enqueue", "--app", APP, "shop.send", "--to", "a", "--key", "k") for _ in range(2))
    assert first == second


def test_the_help_of_a_task_is_its_signature(desk: Desk) -> None:
    said = " ".join(desk.says("enqueue", "--app", APP, "shop.send", "--help").split())
    assert "Send a mail." in said
    assert "--to VALUE str [required]" in said
    assert "--count VALUE int (default: 1)" in said


def test_where_there_is_no_application_that_is_said(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "This needs the application" in desk.refuses("enqueue", "shop.send", code=2)


def test_a_store_that_is_not_there_is_not_made(desk: Desk, tmp_path: Path) -> None:
    done = desk.run("enqueue", "--app", APP, "shop.send", "--to", "a", POSTLUDE_URL=f"sqlite:///{tmp_path}/other.db")
    assert done.exit_code == 5
    assert "There is no store at" in done.stderr
    assert not (tmp_path / "other.db").exists()


VAULT = f"{Path(__file__).with_name('vault.py')}:app"
ACCOUNT = '{"login": "anna", "door": "front-door-7", "age": "old"}'


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--account", ACCOUNT), 'got {"login": "anna", "door": "[masked]", "age": "old"}'),
        (("--account", ACCOUNT[:-1]), "got [masked]"),
        (("--account", "front-door-7"), "got [masked]"),
        (("--pin", "front-door-7"), "got [masked]"),
        (("--pin", "1.5"), "got [masked]"),
        (("--token", "front-door-7"), "token: Value error, [masked] is too short, got [masked]"),
        (("--customer-number", "front-door-7"), "got [masked]"),
        (("--customer_number", "front-door-7"), "got [masked]"),
        (("--url", "https://anna:front-door-7@host"), 'got "https://anna:[masked]@host"'),
        (("--count", "password=front-door-7"), 'got "password=[masked]"'),
        (("--count", "many"), "got 'many'"),
        (("--codes", "[7, 8]"), "got [masked]"),
    ],
)
def test_what_does_not_fit_is_masked(desk: Desk, given: tuple[str, ...], said: str) -> None:
    account = () if "--account" in given else ("--account", '{"login": "anna", "door": "d"}')
    refused = desk.refuses("enqueue", "--app", VAULT, "vault.enter", *account, *given, code=2)
    assert f"vault.enter: {given[0][2:].replace('-', '_')}: " in refused
    assert refused.endswith(said)
    assert "front-door-7" not in refused


def test_what_fits_and_cannot_be_stored_is_said(desk: Desk) -> None:
    words = ("vault.enter", "--account", '{"login": "anna", "door": "front-door-7"}')
    assert "SecretStr hides its value" in desk.refuses("enqueue", "--app", VAULT, *words, code=2)


def test_the_help_of_a_task_shows_no_secret(desk: Desk) -> None:
    said = desk.says("enqueue", "--app", VAULT, "vault.enter", "--help")
    assert "(default: 3)" in said
    assert "https://anna:[masked]@host" in said
    for known in ("4711", "xxxx", "12345678", "hunter2"):
        assert known not in said
