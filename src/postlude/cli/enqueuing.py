"""`postlude enqueue`: each task of the application as a command, whose options are the task's own parameters."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from postlude.calls import NO_OPTIONS, with_job_options
from postlude.cli.adding import add
from postlude.cli.codes import DONE, MEANINGLESS
from postlude.cli.known import find_task, known_tasks
from postlude.cli.noting import note
from postlude.cli.opened import application_of, look_up, opened
from postlude.cli.printing import Output, in_line
from postlude.cli.running import ended, fields_of, take
from postlude.cli.spans import duration
from postlude.cli.values import arguments_of, json_or, read_call
from postlude.cli.waiting import wait_and_tell
from postlude.errors import CallError, PostludeError
from postlude.masking import MASKED, NO_SECRETS, Masking, secrets_in
from postlude.views.records import Known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from postlude.calls import CallOptions
    from postlude.cli.opened import Place
    from postlude.cli.values import Argument
    from postlude.definition import TaskDefinition

_OWN = "Of the job"


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What the command itself takes, before the task's name and behind it."""

    wait: Annotated[
        bool | None,
        typer.Option("--wait", show_default=False, help="Wait for its end, and show progress and result."),
    ] = None
    timeout: Annotated[
        str | None, typer.Option(metavar="10m", show_default=False, help="With --wait: for so long at most.")
    ] = None
    delay: Annotated[str | None, typer.Option(metavar="2h", show_default=False, help="Run it in so long.")] = None
    queue: Annotated[str | None, typer.Option(show_default=False, help="In place of the task's queue.")] = None
    priority: Annotated[
        int | None, typer.Option(show_default=False, help="From -100 to 100, in place of the task's.")
    ] = None
    key: Annotated[
        str | None, typer.Option(show_default=False, help="What at most one job of the task at a time may have.")
    ] = None
    json: Annotated[bool | None, typer.Option("--json", show_default=False, help="Answer in JSON.")] = None

    def changed(self, given: Mapping[str, Any]) -> Asked:
        """With what was said later in the place of what was said before."""
        return dataclasses.replace(self, **{name: value for name, value in given.items() if value is not None})

    def call_options(self) -> CallOptions:
        """As the engine takes them.

        Raises:
            CallError: they make no sense.
        """
        delay = None if self.delay is None else duration(self.delay, "--delay")
        return with_job_options(NO_OPTIONS, delay=delay, queue=self.queue, priority=self.priority, key=self.key)


@dataclasses.dataclass(frozen=True, slots=True)
class _Where:
    """What stands before the task's name only: it says which tasks there are."""

    app: Annotated[
        str | None, typer.Option(metavar="main:app", show_default=False, help="The application, as for the others.")
    ] = None


class Tasks(TyperGroup):
    """The tasks of the application that the options before the task's name lead to."""

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ANN401 - click's, which typer has under several names
        """The command of one task; ends the program if there is no such task."""
        out = Output(json=False)
        try:
            place = look_up(ctx.params.get("app"), None, out)
            return _command_of(place, find_task(application_of(place), cmd_name), _said_before(ctx))
        except PostludeError as error:
            if ctx.resilient_parsing:  # a shell completes a line
                return None
            code = out.refuse(error)
        raise typer.Exit(code)

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # as above
        """The tasks that are known; none where there is no application."""
        try:
            return [each.name for each in known_tasks(application_of(look_up(ctx.params.get("app"), None, Output())))]
        except PostludeError:
            return []


def _said_before(ctx: typer.Context) -> Asked:
    return Asked().changed({each.name: ctx.params.get(each.name) for each in dataclasses.fields(Asked)})


enqueue: typer.Typer = typer.Typer(cls=Tasks, no_args_is_help=True, subcommand_metavar="TASK [--argument value]...")


def _enqueue(**_: object) -> None:
    """Add a job of a task; its arguments are read by the task's own annotations.

    `postlude enqueue TASK --help` shows them. A list is given by repeating its option, or as JSON, and what has no form
    of its own as text, such as a model, as JSON. Where a task has a parameter that is named like an option of the
    command, that option stands before the task's name.
    """


take(_enqueue, [*fields_of(_Where), *fields_of(Asked)])
enqueue.callback()(_enqueue)


def _command_of(place: Place, definition: TaskDefinition, before: Asked) -> Any:  # noqa: ANN401 - as above
    """A command whose options are the parameters of the task."""
    arguments = arguments_of(definition)
    masking = Masking(place.settings.mask)
    parameters = [_parameter(at, each, masking) for at, each in enumerate(arguments)]
    own = [each for each in fields_of(Asked) if each.name not in {argument.name for argument in arguments}]

    def command(**given: Any) -> None:
        asked = before.changed({each.name: given[each.name] for each in own})
        values = {each.name: given[f"argument_{at}"] for at, each in enumerate(arguments)}
        out = Output(json=bool(asked.json))
        raise typer.Exit(ended(lambda: _run(place, definition, asked, values, out), out))

    take(command, [*parameters, *own])
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(definition.name, help=inspect.getdoc(definition.function) or "")(command)
    return typer.main.get_command(app)


def _parameter(at: int, argument: Argument, masking: Masking) -> Parameter:
    """The option, or for what has no name the argument, through which it is given."""
    dashed = argument.name.replace("_", "-")
    said = " ".join(filter(None, (argument.said, "" if argument.required else _default(argument, masking))))
    annotation: Any = bool if argument.flag else list[str] if argument.several else str
    if argument.by_position:
        info: Any = typer.Argument(metavar=argument.name.upper(), help=said, show_default=False)
    elif argument.flag:
        info = typer.Option(f"--{dashed}/--no-{dashed}", help=said, show_default=False)
    else:
        # Python's own spelling is taken, too.
        spellings = dict.fromkeys((f"--{dashed}", f"--{argument.name}"))
        info = typer.Option(*spellings, metavar="VALUE", help=said, show_default=False)
    return Parameter(
        f"argument_{at}",
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if argument.required else None,
        annotation=Annotated[annotation if argument.required else annotation | None, info],
    )


def _default(argument: Argument, masking: Masking) -> str:
    if argument.default is Parameter.empty:
        return ""
    hidden = argument.default is not None and (masking.hides(argument.name) or secrets_in(argument.annotation).whole)
    default = MASKED if hidden else masking.text(in_line(repr(argument.default)))
    return f"(default: {default[:60]})"


def _said(
    problems: Sequence[tuple[Argument, str]], values: Mapping[str, Any], known: Known, definition: TaskDefinition
) -> Iterator[str]:
    """What is wrong with the arguments, and what was given for them, masked as those of a job are."""
    given = {
        name: [json_or(each) for each in value] if isinstance(value, list) else json_or(value)
        for name, value in values.items()
        if value is not None and not isinstance(value, bool)
    }
    shown = known.shown(definition.name, json.dumps({"args": [], "kwargs": given}))
    for argument, why in problems:
        name, secrets = argument.name, secrets_in(argument.annotation)
        # What was to be JSON and is none has its secrets somewhere.
        hidden = known.masking.hides_value(name, given[name]) or (secrets != NO_SECRETS and given[name] == values[name])
        masked = MASKED if hidden else shown.json(given[name], secrets)
        got = " ".join(map(repr, values[name])) if isinstance(values[name], list) else repr(values[name])
        if masked != given[name]:
            got = MASKED if masked == MASKED else json.dumps(masked, ensure_ascii=False)
        yield f"{name}: {shown.text(why)}, got {got}"


def _run(place: Place, definition: TaskDefinition, asked: Asked, values: Mapping[str, Any], out: Output) -> int:
    arguments = arguments_of(definition)
    args, kwargs, problems = read_call(arguments, values)
    if problems:
        for problem in _said(problems, values, Known(place.registry, Masking(place.settings.mask)), definition):
            out.note(f"{definition.name}: {problem}")
        return MEANINGLESS
    options = asked.call_options()
    timeout = None if asked.timeout is None else duration(asked.timeout, "--timeout")
    if timeout is not None and not asked.wait:
        message = "--timeout is of --wait: give both."
        raise CallError(message)

    async def enqueue() -> int:
        async with opened(place, out) as found:
            job = await add(found, (definition.function, args, kwargs), options)
            await note(found, "enqueue", job.id, task=job.task)
            if asked.wait:
                return await wait_and_tell(found, job.id, timeout)
            out.show({"id": str(job.id), "task": job.task, "state": job.state}, str(job.id))
            return DONE

    return asyncio.run(enqueue())
