"""What was delivered, lost and run twice is told from the lines of the log alone."""

from postlude.cli.demo.tally import Resumption, Tally, resumption, tally

BEFORE, AFTER = 100, 200

LOG = [
    "10.0 100 up",
    "10.1 100 started 1",
    "10.1 100 started 2",
    "10.2 100 finished 1",
    "10.2 100 started 3",
    "10.3 100 finished 3",  # and killed before that was recorded
    "12.0 200 up",
    "12.1 200 started 2",
    "12.1 200 started 3",
    "12.2 200 started 4",
    "12.3 200 finished 2",
    "12.3 200 finished 3",
    "12.4 200 finished 4",
]


def test_each_promised_notification_is_counted_once() -> None:
    counted = tally(LOG, {1, 2, 3, 4})
    assert counted == Tally(acknowledged=4, begun=4, delivered=4, run_twice=2, delivered_twice=1)
    assert counted.lost == 0


def test_what_was_begun_is_not_yet_delivered() -> None:
    at_kill = tally(LOG[:6], [1, 2, 3, 4])
    assert (at_kill.delivered, at_kill.running, at_kill.waiting) == (2, 1, 1)


def test_a_promise_without_a_finished_line_is_lost() -> None:
    assert tally(LOG, {1, 2, 3, 4, 5}).lost == 1
    assert tally(LOG[:6], {1, 2}).lost == 1


def test_what_nobody_was_promised_does_not_count() -> None:
    assert tally(LOG, {1}) == Tally(acknowledged=1, begun=1, delivered=1, run_twice=0, delivered_twice=0)


def test_an_empty_log_has_lost_everything() -> None:
    assert tally([], {1, 2}).lost == 2
    assert tally([], ()) == Tally(0, 0, 0, 0, 0)


def test_other_lines_are_passed_over() -> None:
    assert tally(["", "10.1 100 fin", "10.1 100 finished", "hello"], {1}).delivered == 0


def test_the_new_process_says_when_it_got_to_work() -> None:
    assert resumption(LOG, AFTER) == Resumption(up=12.0, first_task=12.1)
    assert resumption(LOG, BEFORE) == Resumption(up=10.0, first_task=10.1)


def test_a_process_that_did_nothing_has_resumed_nothing() -> None:
    assert resumption(LOG[:7], AFTER) is None
    assert resumption(LOG, 300) is None
