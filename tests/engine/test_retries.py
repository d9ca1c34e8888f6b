"""Whether, when and how often a failed attempt is tried again, decided without a store and without time."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from postlude.errors import TaskDeclarationError
from postlude.policy import Policy
from postlude.registry import Registry
from postlude.retries import MANY, Exponential, RetryPolicy, declared_retries, kept
from postlude.source import source_root
from postlude.tasks import task

ERROR = OSError("no")


class Model(BaseModel):
    number: int


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Model(number="x")  # type: ignore[arg-type]
    return caught.value


def waits(policy: RetryPolicy, luck: float = 0.5) -> list[float | None]:
    return [policy.wait(number, ERROR, luck) for number in range(1, policy.count + 2)]


def test_retries_true_takes_about_six_hours() -> None:
    policy, problems = declared_retries(True, None, None)
    assert policy is not None
    assert not problems
    assert policy.count == MANY == 14
    found = waits(policy)
    assert found[:4] == [10, 20, 40, 80]
    assert found[-2:] == [3600, None]
    assert 5.5 * 3600 < sum(wait for wait in found if wait) < 6.5 * 3600


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1e6), st.floats(1, 100), st.floats(0, 1))
def test_a_wait_is_spread_by_its_jitter_and_never_beyond(
    number: int, luck: float, first: float, factor: float, jitter: float
) -> None:
    backoff = Exponential(first=first, factor=factor, most=3600, jitter=jitter)
    plain = Exponential(first=first, factor=factor, most=3600, jitter=0).wait(number, luck)
    wait = backoff.wait(number, luck)
    assert plain * (1 - jitter) - 1e-6 <= wait <= plain * (1 + jitter) + 1e-6
    assert 0 <= wait <= 3600 * 2


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        (3, [3, 3, 3, None]),
        (timedelta(minutes=1), [60, 60, 60, None]),
        ([1, timedelta(seconds=5)], [1, 5, 5, None]),
        (lambda number, error: number * 10 if isinstance(error, OSError) else None, [10, 20, 30, None]),
        (lambda number, _: None if number > 1 else timedelta(seconds=1), [1, None, None, None]),
        (Exponential(first=1, factor=3, most=5, jitter=0), [1, 3, 5, None]),
    ],
)
def test_every_kind_of_backoff(backoff: Any, expected: list[float | None]) -> None:
    assert waits(RetryPolicy(3, backoff)) == expected


@pytest.mark.parametrize(("first", "expected"), [(0, 0.0), (1, 5.0)])
def test_a_factor_that_overflows_waits_for_the_most_unless_it_starts_with_nothing(first: int, expected: float) -> None:
    assert Exponential(first=first, factor=10, most=5, jitter=0).wait(100_000, 0.5) == expected


def test_a_list_says_how_often_too() -> None:
    assert waits(RetryPolicy(backoff=[1, 2])) == [1, 2, None]
    assert RetryPolicy(backoff=5).count == MANY


def test_true_and_false_stand_for_numbers_as_they_do_for_a_task() -> None:
    assert RetryPolicy(retries=True) == RetryPolicy(MANY)
    assert RetryPolicy(retries=False) == RetryPolicy(0)


@pytest.mark.parametrize("backoff", [3.0, [1.0, 5.0], Exponential(first=1, most=60), Exponential()])
def test_what_is_kept_with_a_job_waits_as_declared(backoff: Any) -> None:
    declared = RetryPolicy(3, backoff)
    text = Policy(retries=3, backoff=declared.written()).dumps()
    policy = Policy.loads(text)
    assert waits(kept(policy.retries, policy.backoff, None)) == waits(declared)


def test_a_function_cannot_be_kept_and_is_the_one_that_is_declared_now() -> None:
    assert RetryPolicy(3, lambda *_: 7.0).written() is None
    assert waits(kept(2, None, RetryPolicy(9, lambda *_: 7.0))) == [7, 7, None]


@pytest.mark.parametrize(
    ("retry_on", "error", "again"),
    [
        (Exception, OSError(), True),
        (Exception, TypeError(), False),
        (Exception, invalid(), False),
        (ValueError, invalid(), False),
        (OSError, ConnectionError(), True),
        (OSError, ValueError(), False),
        ((OSError, TypeError), TypeError(), True),
        ((ValidationError,), invalid(), True),
        (Exception, SystemExit(), False),
        (SystemExit, SystemExit(), True),
    ],
)
def test_mistakes_in_the_program_are_tried_again_only_when_they_are_named(
    retry_on: Any, error: BaseException, again: bool
) -> None:
    assert RetryPolicy(1, 0, retry_on).retries_after(error) is again


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: RetryPolicy(-1), ["retries must be a whole number from 0 to 1,000,000, True for 14", "got -1"]),
        (lambda: RetryPolicy(2.5), ["got 2.5"]),  # type: ignore[arg-type]
        (lambda: RetryPolicy(1, -1), ["backoff must be Exponential(...), seconds or a timedelta", "got -1"]),
        (lambda: RetryPolicy(1, []), ["backoff must be", "got []"]),
        (lambda: RetryPolicy(1, "5"), ["backoff must be", "got '5'"]),  # type: ignore[arg-type]
        (lambda: RetryPolicy(1, 5, "OSError"), ["retry_on must be an exception class", "'OSError'"]),  # type: ignore[arg-type]
        (lambda: RetryPolicy(-1, -1, ()), ["got -1;", "backoff", "retry_on"]),
        (lambda: Exponential(first=-1, factor=0.5, jitter=2), ["first must be seconds", "factor", "jitter"]),
        (lambda: Exponential(factor=True, jitter=True), ["factor must be a number", "got True", "jitter must be"]),
        (lambda: Exponential(first=0, factor=float("inf")), ["factor must be a number, 1 or more", "got inf"]),
        (lambda: task(retries=-1)(waits), ["@task on waits", "retries must be a whole number", "got -1"]),
        (lambda: RetryPolicy(10**30), ["retries must be a whole number from 0 to 1,000,000"]),
        (lambda: task(backoff=5)(waits), ["retries must say how often, such as retries=True"]),
        (lambda: task(retry_on=OSError)(waits), ["retries must say how often"]),
        (lambda: task(retries=RetryPolicy(1), backoff=5)(waits), ["retries is a RetryPolicy", "give them there"]),
        (lambda: task(retries="3", backoff="x")(waits), ["got '3'", "got 'x'"]),  # type: ignore[call-overload]
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_declared(declare: Callable[[], object], says: list[str]) -> None:
    with pytest.raises(TaskDeclarationError) as caught:
        declare()
    for part in says:
        assert part in str(caught.value)


def test_a_backoff_function_that_answers_nonsense_is_named() -> None:
    def odd(number: int, error: BaseException) -> Any:
        return f"{number} {error}"

    with pytest.raises(
        TaskDeclarationError, match=r"odd must return seconds, a timedelta or None, and returned '1 no'"
    ):
        RetryPolicy(3, odd).wait(1, ERROR, 0.5)


def test_a_task_that_asks_for_nothing_is_tried_once() -> None:
    definition = Registry(source_root(__file__, __name__)).of(invalid)
    assert definition.policy_text is None
    assert definition.retry is None
