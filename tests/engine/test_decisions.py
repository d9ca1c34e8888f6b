"""What is written when an attempt has ended: every outcome, from both states of a claim, under every policy."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from uuid import UUID, SafeUUID

import pytest

from postlude.codec import Codec
from postlude.errors import IllegalTransition
from postlude.failed import FailedJob
from postlude.ids import new_job_id
from postlude.job import (
    TRANSITIONS,
    Cancelled,
    Claim,
    Event,
    Failed,
    Failure,
    Followers,
    Interrupted,
    JobState,
    Outcome,
    Settlement,
    Snoozed,
    Succeeded,
    transition,
)
from postlude.policy import Policy
from postlude.retries import RetryPolicy
from postlude.running.execution import abandon, decide, release, runs_alone, unwritable

NOW = 1000.0
FAILURE = Failure("ValueError", "no", "Traceback: ValueError: no")
STATES = [JobState.STAGED, JobState.RUNNING]


def claim(
    state: JobState,
    *,
    policy: Policy | None = None,
    interruptions: int = 0,
    stopping: bool = False,
    arguments: str | None = "{}",
) -> Claim:
    running = state is JobState.RUNNING
    return Claim(
        id=7,
        job_id=new_job_id(),
        task="main:f",
        arguments=arguments,
        state=state,
        attempt=2 if running else 0,
        interruptions=interruptions,
        policy=policy.dumps() if policy else None,
        origin=None,
        chain=None,
        after=None,
        created_at=900.0,
        started_at=990.0 if running else None,
        owner=1,
        stopping=stopping,
    )


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("outcome", "target", "followers", "reason", "line"),
    [
        (Succeeded(), JobState.SUCCEEDED, Followers.ADVANCE, None, None),
        (Failed(FAILURE), JobState.FAILED, Followers.CANCEL, "ValueError: no", "failed"),
        (Cancelled("enough"), JobState.CANCELLED, Followers.CANCEL, "enough", "cancelled"),
    ],
)
def test_an_attempt_that_came_to_its_end(
    state: JobState, outcome: Outcome, target: JobState, followers: Followers, reason: str | None, line: str | None
) -> None:
    owned = claim(state)
    settlement = decide(outcome, owned, NOW, started_at=995.0)
    assert settlement == Settlement(
        job_id=owned.job_id,
        claim=7,
        state=target,
        at=NOW,
        # A staged attempt was never recorded as started, and is counted now.
        attempt=2 if state is JobState.RUNNING else 1,
        interruptions=0,
        started_at=995.0,
        failure=FAILURE if isinstance(outcome, Failed) else None,
        reason=reason,
        outcome=line,
        followers=followers,
    )


def test_the_start_that_the_store_knows_is_kept() -> None:
    assert decide(Succeeded(), claim(JobState.RUNNING), NOW).started_at == 990.0


POLICIES = [Policy(), Policy(interrupted="hold"), Policy(max_interruptions=1), Policy(max_interruptions=2)]


@pytest.mark.parametrize(
    ("state", "policy", "before", "stopping", "stored"),
    list(product(STATES, POLICIES, range(4), [False, True], [False, True])),
)
def test_an_interruption_over_the_whole_table(
    state: JobState, policy: Policy, before: int, stopping: bool, stored: bool
) -> None:
    owned = claim(state, policy=policy, interruptions=before, stopping=stopping, arguments="{}" if stored else None)
    settlement = decide(Interrupted("its process died"), owned, NOW)
    assert (settlement.claim, settlement.job_id, settlement.at) == (owned.id, owned.job_id, NOW)
    if not stored:
        assert settlement.state is JobState.FAILED
        assert settlement.followers is Followers.CANCEL
        assert settlement.outcome == "interrupted"
        assert settlement.reason == "its process died; it was not stored, so no other process can run it"
        assert settlement.attempt == owned.attempt
    elif state is JobState.STAGED or (stopping and policy.interrupted != "hold"):
        # Not recorded as started, or told to stop: the job goes back as if nothing had been.
        assert settlement == release(owned, NOW)
    elif policy.interrupted == "hold":
        # Also when it was told to stop: what it has done by then cannot be known.
        assert settlement.state is JobState.FAILED
        assert settlement.followers is Followers.CANCEL
        assert settlement.interruptions == before + 1
        assert settlement.reason == (
            "its process died; held, because the task must not run twice by itself (interrupted='hold')"
        )
    elif before + 1 >= policy.max_interruptions:
        assert settlement.state is JobState.FAILED
        assert settlement.followers is Followers.CANCEL
        assert settlement.interruptions == before + 1
        assert settlement.reason == f"its process died; set aside after {before + 1} interruptions (max_interruptions)"
    else:
        assert settlement.state is JobState.QUEUED
        assert settlement.run_at == NOW
        assert settlement.followers is Followers.QUEUE
        assert settlement.interruptions == before + 1
        assert settlement.outcome == "interrupted"
        assert settlement.attempt == owned.attempt, "an attempt that was interrupted stays counted"
        assert settlement.alone == (before + 1 == policy.max_interruptions - 1)


@pytest.mark.parametrize("state", STATES)
def test_what_is_given_back_is_unharmed(state: JobState) -> None:
    owned = claim(state, interruptions=1)
    settlement = release(owned, NOW)
    assert settlement.state is JobState.QUEUED
    assert settlement.run_at == NOW
    assert settlement.attempt == (1 if state is JobState.RUNNING else 0), "a recorded attempt is taken back"
    assert settlement.interruptions == 1
    assert settlement.followers is Followers.QUEUE
    assert (settlement.outcome, settlement.failure, settlement.reason) == (None, None, None)
    assert not settlement.alone


@pytest.mark.parametrize("state", STATES)
def test_what_must_run_alone_still_must_when_it_was_given_back(state: JobState) -> None:
    assert release(claim(state, interruptions=2), NOW).alone


@pytest.mark.parametrize("state", STATES)
def test_an_ephemeral_job_ends_with_its_process(state: JobState) -> None:
    owned = claim(state, arguments=None)
    settlement = abandon(owned, NOW, "gone")
    assert settlement.state is JobState.FAILED
    assert (settlement.reason, settlement.outcome) == ("gone", "interrupted")
    assert settlement.attempt == owned.attempt
    assert settlement.followers is Followers.CANCEL


@pytest.mark.parametrize(("most", "alone_at"), [(1, 1), (2, 1), (3, 2), (5, 4)], ids=lambda value: f"{value}")
def test_alone_from_one_interruption_short_of_the_limit_on(most: int, alone_at: int) -> None:
    owned = claim(JobState.RUNNING, policy=Policy(max_interruptions=most))
    alone = [count for count in range(most + 2) if runs_alone(owned, count)]
    assert alone == [*range(alone_at, most + 2)], "one that was set aside and retried by hand is no less suspect"
    assert [count for count in range(most + 2) if runs_alone(owned._replace(interruptions=count))] == alone


def test_what_is_not_in_the_table_is_a_named_error() -> None:
    legal = 0
    for state, event in product(JobState, Event):
        if (state, event) in TRANSITIONS:
            assert transition(state, event) is TRANSITIONS[state, event]
            legal += 1
        else:
            with pytest.raises(IllegalTransition) as raised:
                transition(state, event)
            assert str(raised.value) == f"A job is {state.value}, and {event.value!r} is not possible then."
    assert legal == 19
    job_id = new_job_id()
    with pytest.raises(IllegalTransition, match=f"^Job {job_id} is succeeded, and 'retry' is not possible then"):
        transition(JobState.SUCCEEDED, Event.RETRY, job_id=job_id)


def test_a_policy_is_stored_only_where_it_differs() -> None:
    assert Policy().dumps() is None
    assert Policy.loads(None) == Policy()
    held = Policy(interrupted="hold", max_interruptions=1)
    assert Policy.loads(held.dumps()) == held
    assert Policy.loads('{"interrupted":"hold","an_option_of_a_later_release":1}') == Policy(interrupted="hold")


def test_ids_are_of_version_7_and_sort_by_the_millisecond() -> None:
    ids = [new_job_id() for _ in range(100)]
    assert {one.version for one in ids} == {7}
    assert [(one, one.is_safe) for one in ids] == [(UUID(int=one.int), SafeUUID.unknown) for one in ids]
    assert [one.int >> 80 for one in ids] == sorted(one.int >> 80 for one in ids)
    assert len(set(ids)) == 100


def test_what_it_returned_goes_into_the_settlement() -> None:
    assert decide(Succeeded("5"), claim(JobState.STAGED), NOW).result == "5"
    assert decide(Succeeded(), claim(JobState.STAGED), NOW).result is None
    # In place of one that cannot be written there is an end without a result.
    assert unwritable(decide(Succeeded("5"), claim(JobState.STAGED), NOW)).result is None


TELLING = Policy(on_failure=["main:alarm", Policy(retries=3).dumps()])


@pytest.mark.parametrize(
    ("outcome", "policy", "told"),
    [
        (Failed(FAILURE), TELLING, True),
        (Failed(FAILURE), Policy(), False),
        (Succeeded(), TELLING, False),
        (Cancelled("enough"), TELLING, False),
        (Snoozed(5), TELLING, False),
        (Interrupted("died"), TELLING, False),
        (Interrupted("died"), replace(TELLING, interrupted="hold"), True),
        (Interrupted("died"), replace(TELLING, max_interruptions=1), True),
    ],
)
def test_who_is_told_of_a_failure_for_good(outcome: Outcome, policy: Policy, told: bool) -> None:
    owned = claim(JobState.RUNNING, policy=policy)
    settlement = decide(outcome, owned, NOW)
    then = settlement.then
    assert (then is not None) is told
    if then is None:
        return
    assert (then.task, then.state, then.run_at, then.owner) == ("main:alarm", JobState.QUEUED, NOW, None)
    assert Policy.loads(then.policy).retries == 3
    args, _ = Codec(print, name="main:alarm").decode(str(then.arguments))
    (failed,) = args
    error = "ValueError" if isinstance(outcome, Failed) else None
    moment = datetime.fromtimestamp(NOW, UTC)
    assert failed == FailedJob(owned.job_id, "main:f", settlement.attempt, error, str(settlement.reason), moment)
    # The same decision made again tells with the same job: nothing in it comes from elsewhere.
    assert decide(outcome, owned, NOW).then == then


def test_nobody_is_told_while_it_is_tried_again() -> None:
    owned = claim(JobState.RUNNING, policy=replace(TELLING, retries=5))
    settlement = decide(Failed(FAILURE, OSError()), owned, NOW, retry=RetryPolicy(5))
    assert (settlement.state, settlement.then) == (JobState.QUEUED, None)


def test_of_an_ephemeral_job_that_nobody_can_run() -> None:
    then = abandon(claim(JobState.STAGED, policy=TELLING, arguments=None), NOW, "given away").then
    assert then is not None
    assert "given away" in str(then.arguments)


def test_a_long_reason_is_cut() -> None:
    then = decide(Failed(Failure("ValueError", "x" * 9_000, "")), claim(JobState.STAGED, policy=TELLING), NOW).then
    assert then is not None
    assert len(str(then.arguments)) < 2_300


def test_claims_of_one_moment_are_told_of_by_different_jobs() -> None:
    thens = [decide(Failed(FAILURE), claim(JobState.RUNNING, policy=TELLING), NOW).then for _ in range(50)]
    assert len({then.id for then in thens if then is not None}) == 50
