"""The engine's clock: the machine's own, the database's, or that of a test."""

import time

from postlude.clock import SystemClock
from tests.engine.fakes import FakeClock


def test_it_goes_by_another_one_that_is_ahead_or_behind() -> None:
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 5
    clock.set_ahead(3600.0)
    assert abs(clock.now() - time.time() - 3600) < 5
    clock.set_ahead(-60.0)
    assert abs(clock.now() - time.time() + 60) < 5


def test_what_a_test_has_put_in_its_place_stays_whatever_the_database_says() -> None:
    clock, fake, inner = SystemClock(), FakeClock(), FakeClock()
    with clock.replaced_by(fake):
        clock.set_ahead(3600.0)
        assert clock.now() == fake.time
        with clock.replaced_by(inner):
            inner.advance(9)
            assert clock.now() == inner.time
        assert clock.now() == fake.time
    assert abs(clock.now() - time.time() - 3600) < 5
