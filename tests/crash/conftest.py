"""The stores of the crash tests: those of the scenarios."""

from tests.scenarios.conftest import database, store

__all__ = ["database", "store"]
