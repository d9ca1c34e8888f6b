"""`Depends` in tasks: found when the task is declared, given to it when it runs, never stored."""

from __future__ import annotations

from postlude.dependencies.finding import Overrides, given_to_tasks
from postlude.dependencies.plan import Plan, Resolver, names_for_callers, plan_of

__all__ = ["Overrides", "Plan", "Resolver", "given_to_tasks", "names_for_callers", "plan_of"]
