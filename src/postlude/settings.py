"""The settings of one application: read once from arguments and environment, validated together."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

from postlude.errors import SettingsError
from postlude.given import is_number, is_whole, meant
from postlude.policy import WhenInterrupted
from postlude.retention import EXPECTED, Retention, retention_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_URL = "sqlite:///.postlude/jobs.db"

OnStoreError = Literal["refuse", "run_unsaved"]
Mode = Literal["durable", "observe"]
WorkerMode = Literal["embedded", "process", "off"]
Migrate = Literal["auto", "never"]
Password: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A password, or what is asked for it at each new connection."""

_SCHEMA: Final = r"(?!pg_)[a-z_][a-z0-9_]{0,62}"
_LONGEST_NAMESPACE: Final = 100


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many attempts may run at once in one process."""

    loop: int = 100
    """`async def` tasks on the event loop."""
    threads: int = 16
    """`def` tasks, each in a thread of Postlude's own."""
    processes: int | None = None
    """Tasks with `executor="process"`, each in a child process; None: as many as there are processors."""

    @property
    def most_processes(self) -> int:
        """How many child processes there may be."""
        # Since Python 3.13 the processors that this process may use can be asked for.
        return self.processes or getattr(os, "process_cpu_count", os.cpu_count)() or 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What an application asked for. Durations are seconds."""

    url: str = field(default=DEFAULT_URL, repr=False)  # there may be a password in it
    """Where jobs are kept."""
    direct_url: str | None = field(default=None, repr=False)
    """The way beside a pooler that `url` leads through; None: there is none. For PostgreSQL, as the next four."""
    namespace: str | None = None
    """Which of several applications this is in a database; None: `"default"`."""
    schema: str | None = None
    """In which schema of the database the tables are; None: `"postlude"`."""
    password: Password | None = field(default=None, repr=False)
    """In place of one in the URL."""
    migrate: Migrate | None = None
    """Whether the schema is made and migrated when the store is opened; None: `"auto"`, it is."""
    mode: Mode = "durable"
    """Whether background tasks are made durable, or left to FastAPI and only observed."""
    worker: WorkerMode = "embedded"
    """Whether this process runs jobs beside its requests, has a child that does, or only adds them."""
    tasks: tuple[str, ...] = ()
    """Modules to import at start, so that the tasks they declare are known."""
    allow: tuple[str, ...] = ()
    """Functions outside the application's source root that may be stored, as `module:name`."""
    carry: tuple[ContextVar[Any] | str, ...] = ()
    """Context variables that come along with each call, or where they are, as `module:name`."""
    concurrency: Concurrency = field(default_factory=Concurrency)
    strict: bool = False
    """Whether a call that cannot be stored is refused with a TypeError instead of being run unsaved."""
    ordered: bool = True
    """Whether the tasks of one request wait for one another."""
    interrupted: WhenInterrupted = "rerun"
    """What happens to a job whose process died in mid-run, unless its task says otherwise."""
    on_store_error: OnStoreError = "refuse"
    """When the commit fails: answer 503, or run the tasks without having stored them."""
    retention: Retention = field(default_factory=Retention)
    """How long jobs are kept after their end."""
    mask: tuple[str, ...] = ()
    """More names of what is shown nowhere, beside `masking.NAMES`."""
    dashboard: str | None = None
    """The path at which the dashboard is mounted; None: nowhere."""
    shutdown_grace: float = 8.0
    """How long running tasks may go on after the first signal. Docker kills after 10; a reload waits for nobody: 0."""
    disabled: bool = False
    """Leave FastAPI as it is."""

    def __post_init__(self) -> None:
        problems = [
            *_one_of("mode", self.mode, Mode),
            *_one_of("worker", self.worker, WorkerMode),
            *_one_of("interrupted", self.interrupted, WhenInterrupted),
            *_one_of("on_store_error", self.on_store_error, OnStoreError),
        ]
        if not isinstance(self.concurrency, Concurrency):
            problems.append(
                f"concurrency: expected a number or Concurrency(loop=, threads=, processes=), got {self.concurrency!r}"
            )
        elif not all(map(_is_count, _counts(self.concurrency))):
            problems.append(f"concurrency: expected whole numbers, at least one of each, got {self.concurrency!r}")
        if self.dashboard is not None and not _is_path(self.dashboard):
            problems.append(f"dashboard: expected a path such as '/postlude', got {self.dashboard!r}")
        if retention_of(self.retention) is None:
            problems.append(f"retention: expected {EXPECTED}, got {self.retention!r}")
        if not _is_seconds(self.shutdown_grace):
            problems.append(f"shutdown_grace: expected seconds, 0 or more, got {self.shutdown_grace!r}")
        problems += _problems_of_database(self)
        problems += [
            f"{name}: expected True or False, got {getattr(self, name)!r}"
            for name in ("strict", "ordered", "disabled")
            if not isinstance(getattr(self, name), bool)
        ]
        problems += [
            f"tasks: expected the dotted name of a module, such as 'app.tasks', got {name!r}"
            for name in self.tasks
            if not isinstance(name, str) or not name.strip()
        ]
        problems += [
            f"allow: expected 'module:name', such as 'os:remove', got {name!r}"
            for name in self.allow
            if not _names_a_thing(name)
        ]
        problems += [
            f"carry: expected a ContextVar, or 'module:name' of one, got {each!r}"
            for each in self.carry
            if not isinstance(each, ContextVar) and not _names_a_thing(each)
        ]
        problems += [
            f"mask: expected names of arguments and fields, such as 'customer_number', got {name!r}"
            for name in self.mask
            if not isinstance(name, str) or not any(map(str.isalnum, name))
        ]
        if problems:
            raise SettingsError(problems)


def _one_of(name: str, value: object, literal: object) -> list[str]:
    expected = get_args(literal)
    return [] if value in expected else [f"{name}: expected one of {', '.join(map(repr, expected))}, got {value!r}"]


def _problems_of_database(settings: Settings) -> list[str]:
    namespace, schema, password = settings.namespace, settings.schema, settings.password
    problems = [] if settings.migrate is None else _one_of("migrate", settings.migrate, Migrate)
    if namespace is not None and not _is_name(namespace):
        problems.append(f"namespace: expected 1 to {_LONGEST_NAMESPACE} printable characters, got {namespace!r}")
    if schema is not None and not (isinstance(schema, str) and re.fullmatch(_SCHEMA, schema)):
        problems.append(
            "schema: expected up to 63 small letters, digits and underscores that begin with neither a digit nor pg_, "
            f"got {schema!r}"
        )
    if password is not None and not (isinstance(password, str) or callable(password)):
        # Whatever it is, it may be the secret itself.
        problems.append(f"password: expected a string, or a function that gives one, got {type(password).__name__}")
    return problems


def _is_path(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"(/[\w.~-]+)+", value) is not None


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST_NAMESPACE


def _names_a_thing(name: object) -> bool:
    return isinstance(name, str) and name.count(":") == 1 and not name.startswith(":") and not name.endswith(":")


def _counts(concurrency: Concurrency) -> list[int]:
    return [count for count in (concurrency.loop, concurrency.threads, concurrency.processes) if count is not None]


def _is_count(value: object) -> bool:
    return is_whole(value, 1)


def _is_seconds(value: object) -> bool:
    return is_number(value) and 0 <= value < float("inf")


def called(option: str, value: object, environ: Mapping[str, str] | None = None) -> str:
    """What to call an option by where its value makes trouble: its variable if it came from there, else its name.

    Args:
        option: its name.
        value: what came.
        environ: the process's environment if None.
    """
    text = (os.environ if environ is None else environ).get(_variable(option), "").strip()
    return _variable(option) if text and text == value else option


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """A line for each `POSTLUDE_` variable that is no setting, such as a misspelt one.

    Args:
        environ: the process's environment if None.
    """
    known = [option.name for option in fields(Settings)]
    lines = []
    for name in sorted(os.environ if environ is None else environ):
        option = name.removeprefix("POSTLUDE_").lower()
        if name.startswith("POSTLUDE_") and name != _variable(option if option in known else ""):
            close = meant(option, known)
            others = f"; those are {', '.join(map(_variable, known))}"
            hint = others if close is None else f": did you mean {_variable(close)}?"
            lines.append(f"{name} in the environment is no setting of Postlude{hint}")
    return lines


def read_settings(given: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """The settings from the arguments that were given, then `POSTLUDE_<NAME>`, then the defaults.

    Args:
        given: arguments by name; one that is None was not given.
        environ: the process's environment if None.

    Raises:
        SettingsError: naming every problem at once.
    """
    problems: list[str] = []
    arguments = {name: value for name, value in given.items() if value is not None}
    variables = _from_environment(os.environ if environ is None else environ, problems)
    values = {
        **({"shutdown_grace": 0.0} if _reloads(sys.argv) or _is_made_by_a_reloader() else {}),
        **variables,
        **arguments,
    }
    for name, what in (("tasks", "strings"), ("allow", "strings"), ("mask", "strings"), ("carry", "context variables")):
        if isinstance(values.get(name), str):
            problems.append(f"{name}: expected a sequence of {what}, got the single string {values.pop(name)!r}")
        elif name in values and not isinstance(values[name], Iterable):
            problems.append(f"{name}: expected a sequence of {what}, got {values.pop(name)!r}")
        elif name in values:
            values[name] = tuple(values[name])
    _read_shorthands(values)
    try:
        settings = Settings(**values)
    except SettingsError as error:
        for problem in error.problems:
            name, _, what = problem.partition(":")
            by_variable = name in variables and name not in arguments
            problems.append(f"{_variable(name)}:{what}" if by_variable else problem)
    if problems:
        raise SettingsError(problems)
    return settings


def _read_shorthands(values: dict[str, Any]) -> None:
    """Put what they stand for in the place of a `timedelta`, of a number of tasks, and of one duration for all ends."""
    if isinstance(values.get("shutdown_grace"), timedelta):
        values["shutdown_grace"] = values["shutdown_grace"].total_seconds()
    if is_whole(values.get("concurrency")):
        values["concurrency"] = Concurrency(loop=values["concurrency"])
    if "retention" in values:
        values["retention"] = retention_of(values["retention"]) or values["retention"]


def _reloads(argv: Sequence[str]) -> bool:
    """Whether the server was started to be restarted at each change of the code, when nobody wants to wait."""
    program = Path(*argv[:1])
    if program.name == "__main__.py":  # python -m fastapi
        program = program.parent
    fastapi_dev = argv[1:2] == ["dev"] and program.stem == "fastapi"
    return "--reload" in argv or (fastapi_dev and "--no-reload" not in argv)


def _is_made_by_a_reloader() -> bool:
    """Whether uvicorn made this process to be replaced at each change, as it does for `uvicorn.run(…, reload=True)`."""
    # Its command line does not tell. But uvicorn hands its configuration to the process, and Python keeps that.
    from multiprocessing import current_process  # noqa: PLC0415 - whoever has it made the process; others may do without

    config = getattr(current_process(), "_kwargs", {}).get("config")
    return getattr(config, "should_reload", False) is True


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for option in fields(Settings):
        variable = _variable(option.name)
        text = environ.get(variable, "").strip()
        if text:
            try:
                values[option.name] = _READERS.get(option.name, str)(text)
            except ValueError as error:
                problems.append(f"{variable}: {error}")
    return values


def _variable(name: str) -> str:
    return f"POSTLUDE_{name.upper()}"


def _boolean(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    message = f"expected 1 or 0, got {text!r}"
    raise ValueError(message)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        message = f"expected a number of seconds, got {text!r}"
        raise ValueError(message) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def concurrency_of(text: str) -> Concurrency:
    """What `loop=100,threads=16,processes=4` says, or one number for the loop.

    Raises:
        ValueError: it is neither.
    """
    pairs = dict(_pair(part) for part in _names(text))
    unknown = pairs.keys() - {option.name for option in fields(Concurrency)}
    if unknown or not all(value.strip().isdecimal() for value in pairs.values()):
        message = f"expected loop=NUMBER,threads=NUMBER,processes=NUMBER, got {text!r}"
        raise ValueError(message)
    return Concurrency(**{name.strip(): int(value) for name, value in pairs.items()})


def _retention(text: str) -> Retention:
    """`succeeded=86400,failed=2592000,cancelled=2592000`, in seconds, or one number for every end."""
    pairs = [part.partition("=") for part in _names(text)]
    known = {option.name for option in fields(Retention)}
    if len(pairs) == 1 and not pairs[0][1]:
        seconds = _seconds(text)
        return Retention(seconds, seconds, seconds)
    if not {name.strip() for name, _, _ in pairs} <= known:
        message = f"expected seconds, or succeeded=SECONDS,failed=SECONDS,cancelled=SECONDS, got {text!r}"
        raise ValueError(message)
    return Retention(**{name.strip(): _seconds(value) for name, _, value in pairs})


def _pair(part: str) -> tuple[str, str]:
    name, separator, value = part.partition("=")
    return (name.strip(), value) if separator else ("loop", part)


_READERS: dict[str, Callable[[str], object]] = cast(
    "dict[str, Callable[[str], object]]",
    {
        "tasks": _names,
        "allow": _names,
        "carry": _names,
        "mask": _names,
        "concurrency": concurrency_of,
        "strict": _boolean,
        "ordered": _boolean,
        "retention": _retention,
        "shutdown_grace": _seconds,
        "disabled": _boolean,
    },
)
