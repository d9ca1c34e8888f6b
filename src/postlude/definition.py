"""What one application knows of a task: its name, how its calls are written down, and how its jobs are treated."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from postlude.codec import Codec
from postlude.codec.results import Results
from postlude.dependencies import plan_of
from postlude.policy import Policy
from postlude.retries import RetryPolicy, kept
from postlude.tasks import default_executor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from postlude.dependencies import Plan
    from postlude.errors import NotStorable
    from postlude.job import Claim, Terms
    from postlude.policy import WhenInterrupted
    from postlude.retention import Retention
    from postlude.tasks import Declaration, ExecutorName
    from postlude.terms import Asked, TaskTerms


class TaskDefinition:
    """A function as a task: its name, how its calls are written down, and how its jobs are treated."""

    __slots__ = (
        "codec",
        "executor",
        "function",
        "name",
        "plan",
        "policy",
        "policy_text",
        "remote",
        "results",
        "retry",
        "terms",
        "unstorable",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        declaration: Declaration,
        *,
        interrupted: WhenInterrupted,
        unstorable: NotStorable | None,
        on_failure: list[str | int | None] | None = None,
    ) -> None:
        self.function: Callable[..., Any] = function
        self.name: str = name
        self.plan: Plan | None = plan_of(function)
        """How the dependencies it asks for are resolved; None if there are none."""
        self.codec: Codec = Codec(function, name=name, binding=self.plan)
        self.executor: ExecutorName = declaration.executor or default_executor(function)
        self.results: Results = Results(function)
        self.policy: Policy = Policy(
            interrupted=declaration.interrupted or interrupted,
            max_interruptions=declaration.max_interruptions or Policy().max_interruptions,
            retries=None if declaration.retry is None else declaration.retry.count,
            backoff=None if declaration.retry is None else declaration.retry.written(),
            timeout=declaration.timeout,
            retention=_written(declaration.retention),
            keep_arguments=declaration.keep_arguments,
            on_failure=on_failure,
        )
        self.terms: TaskTerms = declaration.terms
        self.remote: bool = declaration.remote
        """Whether other processes run it, and never this one."""
        self.retry: RetryPolicy | None = declaration.retry
        self.policy_text: str | None = self.policy.dumps()
        self.unstorable: NotStorable | None = unstorable
        """Why no call of this function can be stored; None if the arguments decide."""

    @property
    def needed(self) -> str | None:
        """The option, if there is one, that only a stored call can have."""
        return "remote" if self.remote else self.terms.needed

    def terms_of(self, asked: Asked, args: Sequence[Any], kwargs: Mapping[str, Any], now: float) -> Terms:
        """The terms of a call with these arguments.

        Raises:
            CallError: a function of the task gave something for them that is no key or no partition.
        """
        return self.terms.terms(asked, functools.partial(self._named, args, kwargs), now)

    def _named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.plan is None:
            bound = inspect.signature(self.function).bind_partial(*args, **kwargs)
        else:
            bound = self.plan.bind(tuple(args), kwargs)
        bound.apply_defaults()
        return bound.arguments

    def retries_of(self, claim: Claim) -> RetryPolicy:
        """Whether and when a job is tried again: by what was stored with it, and by what the task declares now."""
        policy = Policy.loads(claim.policy)
        return kept(policy.retries, policy.backoff, self.retry)


def _written(retention: Retention | None) -> float | list[float] | None:
    """How it is stored: one number where one counts for every end."""
    if retention is None:
        return None
    seconds = list(retention.seconds().values())
    return seconds[0] if len(set(seconds)) == 1 else seconds
