"""Queue, priority, expiry, key, limits and partition: what is refused where it is declared, and what it comes to."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import Depends

from postlude import terms
from postlude.calls import CallOptions, with_options
from postlude.errors import CallError, TaskDeclarationError
from postlude.job import Key, Terms
from postlude.limits import Limit, Rate, rate_of
from postlude.registry import Registry
from postlude.tasks import task
from postlude.terms import NO_TERMS, NOTHING, Asked, wrong_queue
from tests.ids import lasting

NOW = 1_000.0
JOB = UUID("00000000-0000-7000-8000-000000000001")


@pytest.fixture(autouse=True)
def queues() -> Iterator[None]:
    """As if tasks had declared these and no others."""
    known = set(terms.queues)
    terms.queues.clear()
    terms.queues.update({"default", "emails", "shard-1"})
    yield
    terms.queues.clear()
    terms.queues.update(known)


def send(tenant: str, number: int = 0, *parts: str, urgent: bool = False) -> None: ...


def nothing() -> None: ...


def session() -> object:
    return object()


class Tenant(Enum):
    ACME = "acme"


# What is refused


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"queue": "email"}, "queue 'email' is nearly the queue 'emails': did you mean that?"),
        ({"queue": "emials"}, "did you mean that?"),
        ({"queue": "defautl"}, "queue 'defautl' is nearly the queue 'default'"),
        ({"queue": ""}, "queue must be printable text of 1 to 500 characters, got ''"),
        ({"queue": "a\nb"}, r"queue must be printable text of 1 to 500 characters, got 'a\nb'"),
        ({"queue": "x" * 501}, "queue must be printable text of 1 to 500 characters"),
        ({"queue": 5}, "got 5"),
        ({"priority": 1000}, "priority must be a whole number from -100 to 100, the larger the sooner, got 1000"),
        ({"priority": 1.5}, "priority must be a whole number"),
        ({"priority": True}, "got True"),
        ({"priority": "high"}, "got 'high'"),
        ({"on_conflict": "ignore", "key": "k"}, "must be one of 'return', 'replace', 'debounce', got 'ignore'"),
        ({"on_conflict": ["return"], "key": "k"}, "must be one of 'return', 'replace', 'debounce', got ['return']"),
        ({"key": ""}, "key must be printable text of 1 to 500 characters, got ''"),
        ({"key": 5}, "got 5"),
        ({"key": "k", "key_period": -1}, "key_period must be seconds, 0 or more, or a timedelta, got -1"),
        ({"key": "k", "key_period": "1h"}, "key_period must be seconds, 0 or more, or a timedelta, got '1h'"),
    ],
    ids=lasting,
)
@pytest.mark.parametrize("where", ["task", "call"])
def test_what_makes_no_sense_is_refused_for_a_task_and_for_a_call(
    options: dict[str, Any], says: str, where: str
) -> None:
    with pytest.raises(TaskDeclarationError if where == "task" else CallError) as caught:
        task(**options)(send) if where == "task" else with_options(CallOptions(), **options)
    assert str(caught.value).startswith("@task on send: " if where == "task" else "options: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_running": 0}, "max_running must be a whole number, 1 or more, got 0"),
        ({"max_running": True}, "max_running must be a whole number, 1 or more, got True"),
        ({"max_running": "2"}, "max_running must be a whole number, 1 or more, got '2'"),
        (
            {"rate": "100 per minute"},
            """rate must be text such as "100/min", "5/s" or "10/30s", got '100 per minute'""",
        ),
        ({"rate": 100}, "got 100"),
        ({"rate": "0/s"}, "got '0/s'"),
        ({"on_conflict": "replace"}, "on_conflict and key_period say what a taken key means: give a key"),
        ({"key_period": 60}, "on_conflict and key_period say what a taken key means: give a key"),
        (
            {"key": lambda tennant: tennant},
            "key asks for the argument 'tennant', and the task has tenant, number, parts, urgent: name its parameters",
        ),
        ({"partition_by": lambda customer: customer}, "partition_by asks for the argument 'customer'"),
        ({"key": 3}, "key must be text, or a function of the task's arguments, got 3"),
        ({"partition_by": "tenant"}, "partition_by must be a function of the task's arguments, got 'tenant'"),
        ({"retention": -1}, "retention must be seconds, 0 or more, a timedelta, or Retention("),
        ({"retention": timedelta(-1)}, "retention must be seconds, 0 or more"),
        ({"retention": "1d"}, "got '1d'"),
    ],
    ids=lasting,
)
def test_what_makes_no_sense_is_refused_for_a_task(options: dict[str, Any], says: str) -> None:
    with pytest.raises(TaskDeclarationError) as caught:
        task(**options)(send)
    assert str(caught.value).startswith("@task on send: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"expires_after": -1}, "expires_after must be seconds, 0 or more, or a timedelta, got -1"),
        ({"expires_after": float("nan")}, "expires_after must be seconds"),
        ({"expire_after": 5}, "expire_after is no option: did you mean expires_after?"),
        ({"on_conflit": "return"}, "on_conflit is no option: did you mean on_conflict?"),
        ({"max_running": 2}, "max_running is no option: there are delay, expires_after, if_raised, key"),
        ({"key": lambda tenant: tenant}, "key must be printable text of 1 to 500 characters, got <function"),
    ],
    ids=lasting,
)
def test_what_makes_no_sense_is_refused_for_a_call(options: dict[str, Any], says: str) -> None:
    with pytest.raises(CallError) as caught:
        with_options(CallOptions(), **options)
    assert says in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(TaskDeclarationError) as caught:
        task(queue="email", priority=101, rate="x", max_running=0, retention=-1)(send)
    assert [word in str(caught.value) for word in ("queue", "priority", "rate", "max_running", "retention")] == [
        True
    ] * 5


def test_a_function_of_the_arguments_of_a_task_that_has_none() -> None:
    with pytest.raises(TaskDeclarationError, match="key asks for the argument 'tenant', and the task has none"):
        task(key=lambda tenant: tenant)(nothing)


@pytest.mark.parametrize("option", ["key", "partition_by"])
def test_what_a_task_depends_on_is_no_argument(option: str) -> None:
    """It is resolved when the task runs, and the key is needed before."""

    def save(tenant: str, db: Annotated[object, Depends(session)]) -> None: ...

    with pytest.raises(TaskDeclarationError, match=f"{option} asks for the argument 'db', and the task has tenant"):
        task(**{option: lambda db: db})(save)  # type: ignore[call-overload]


def test_a_refused_declaration_makes_no_queue_known() -> None:
    with pytest.raises(TaskDeclarationError):
        task(queue="reports", timeout=-1)(send)
    assert "reports" not in terms.queues
    task(queue="reports")(nothing)
    assert "reports" in terms.queues


# Names of queues


@pytest.mark.parametrize("name", ["emails", "default", "shard-2", "shard-11", "e-mail", "email-out", "mai", "imports"])
def test_another_name_is_a_queue_of_its_own(name: str) -> None:
    assert wrong_queue(name) == []


@pytest.mark.parametrize("name", ["email", "emailss", "emaisl", "amails", "mails", "Emails"])
def test_a_slip_is_not(name: str) -> None:
    assert "nearly the queue 'emails'" in wrong_queue(name)[0]


# Rates


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/min", Rate(100, 60)),
        ("5/s", Rate(5, 1)),
        ("10/30s", Rate(10, 30)),
        (" 10 / 30 S ", Rate(10, 30)),
        ("1/day", Rate(1, 86400)),
        ("2/3h", Rate(2, 10800)),
    ],
)
def test_rates(text: str, rate: Rate) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize(
    "text", ["", "5", "/s", "5/", "5/fortnight", "-5/s", "1.5/s", "5/0s", "0/min", None, 5, b"5/s"]
)
def test_no_rates(text: object) -> None:
    assert rate_of(text) is None


# What they come to


def terms_of(function: Callable[..., Any], asked: Asked, *args: Any, **kwargs: Any) -> Terms:
    return Registry(None).of(function).terms_of(asked, args, kwargs, NOW)


def declared(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A task of its own with these options."""

    def own(*args: Any, **kwargs: Any) -> None: ...

    own.__signature__ = __import__("inspect").signature(function)  # type: ignore[attr-defined]
    made: Callable[..., Any] = task(**options)(own)
    return made


def test_a_task_that_declares_none_has_none() -> None:
    assert Registry(None).of(send).terms is NO_TERMS
    assert Registry(None).of(declared(send, queue="default", priority=0)).terms is NO_TERMS
    assert CallOptions().asked is NOTHING
    assert with_options(CallOptions(), delay=5, key=None, priority=None).asked is NOTHING


def test_a_call_asks_and_else_the_task_counts() -> None:
    own = declared(send, queue="emails", priority=5, key="one", key_period=60)
    assert terms_of(own, NOTHING, "acme") == Terms("emails", -5, None, None, Key("one", "return", NOW + 60))
    asked = Asked("default", -7, 10, "two", "debounce", 20)
    assert terms_of(own, asked, "acme") == Terms("default", 7, NOW + 10, None, Key("two", "debounce", NOW + 20))


def test_options_of_a_call_add_up() -> None:
    first = with_options(CallOptions(), queue="emails", key="k", expires_after=timedelta(minutes=1))
    second = with_options(first, priority=3, queue=None, on_conflict="replace")
    assert second.asked == Asked("emails", 3, 60.0, "k", "replace")
    assert with_options(second, key="other").asked.key == "other"


@pytest.mark.parametrize(
    ("value", "text"), [("acme", "acme"), (7, "7"), (0, "0"), (JOB, str(JOB)), (Tenant.ACME, "acme"), (None, None)]
)
def test_what_a_function_gives_is_written_as_text(value: object, text: str | None) -> None:
    own = declared(send, key=lambda: value, partition_by=lambda: value, max_running=1)
    found = terms_of(own, NOTHING, "x")
    assert (found.key and found.key.value, found.partition) == (text, text or "")


@pytest.mark.parametrize(
    "value", [1.5, date(2030, 1, 1), ["acme"], b"acme", "x" * 501, "", "a\n", "\ud800", 10**600], ids=ascii
)
@pytest.mark.parametrize("option", ["key", "partition_by"])
def test_what_is_no_name_is_refused_with_the_call(value: object, option: str) -> None:
    own = declared(send, **{option: lambda: value})
    with pytest.raises(
        CallError, match=f"the task's {option} gave .*: expected printable text of 1 to 500 characters, a whole"
    ):
        terms_of(own, NOTHING, "x")


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (lambda tenant: tenant, "acme"),
        (lambda number, tenant: f"{tenant}-{number}", "acme-0"),
        (lambda *, tenant: tenant, "acme"),
        (lambda tenant, /: tenant, "acme"),
        (lambda urgent: f"{urgent}", "False"),
        (lambda parts: f"{len(parts)}", "0"),
    ],
)
def test_a_function_is_given_the_arguments_it_names(function: Callable[..., object], given: str) -> None:
    assert terms_of(declared(send, partition_by=function), NOTHING, "acme").partition == given
    assert terms_of(declared(send, partition_by=function), NOTHING, tenant="acme").partition == given


def test_it_is_given_them_past_what_the_task_depends_on() -> None:
    @task(key=lambda tenant: tenant)
    def save(db: Annotated[object, Depends(session)], tenant: str) -> None: ...

    key = terms_of(save, NOTHING, "acme").key
    assert key is not None
    assert key.value == "acme"


@pytest.mark.parametrize("asked", [{"on_conflict": "replace"}, {"key_period": 5}])
def test_what_a_taken_key_means_is_refused_for_a_call_that_has_none(asked: dict[str, Any]) -> None:
    options = with_options(CallOptions(), **asked)
    with pytest.raises(CallError, match="on_conflict and key_period say what a taken key means: give a key"):
        terms_of(send, options.asked, "acme")
    assert terms_of(declared(send, key="k"), options.asked, "acme").key is not None
    assert terms_of(declared(send, key=lambda: None), options.asked, "acme").key is None, "the task said: no key"


def test_limits() -> None:
    of = Registry(None).of
    assert of(declared(send, max_running=2, rate="5/s")).terms.limit == Limit(2, Rate(5, 1))
    assert terms_of(declared(send, max_running=2), NOTHING, "x").partition == "", "one for all"
    assert terms_of(send, NOTHING, "x").partition is None
