"""The commands and their options."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from postlude.cli.auditing import audit
from postlude.cli.backup import backup
from postlude.cli.check import check_application
from postlude.cli.demo.story import tell
from postlude.cli.enqueuing import enqueue
from postlude.cli.export import export
from postlude.cli.jobs import jobs
from postlude.cli.looking import stack
from postlude.cli.migrating import bring_up_to_date
from postlude.cli.move import ends_of, move_jobs
from postlude.cli.queues import pause, queues, resume
from postlude.cli.schedules import schedules
from postlude.cli.serving import dashboard, dashboard_link
from postlude.cli.status import status
from postlude.cli.steering import cancel, delete, retry
from postlude.cli.tasks import tasks
from postlude.cli.workers import workers
from postlude.cli.working import work

commands: typer.Typer = typer.Typer(
    name="postlude",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer passes the value of the flag
    if wanted:
        Console(highlight=False).print(f"postlude {version('postlude')}")
        raise typer.Exit


@commands.callback()
def postlude(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Background tasks for FastAPI that survive."""


@commands.command()
def demo(
    *,
    notifications: Annotated[int, typer.Option(min=1, max=1000, help="How many notifications to ask for.")] = 100,
    without: Annotated[
        bool, typer.Option("--without", help="Do the same with FastAPI alone, and see what the kill takes.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder with the store, the log and the server's output.")
    ] = False,
) -> None:
    """Kill a server in the middle of its background tasks, start it again, and count.

    Takes some ten seconds and leaves nothing behind.

    Exit code: 0, also for what `--without` loses, since that is what it is there to show; 1 if Postlude lost anything;
    2 if the demonstration could not be given.
    """
    raise typer.Exit(tell(notifications, durable=not without, keep=keep, console=Console(highlight=False)))


@commands.command()
def worker(
    application: Annotated[
        str | None,
        typer.Argument(
            metavar="[APP]",
            show_default=False,
            help="`main:app`, the path of a file or package, or a module. Default: `[tool.fastapi] entrypoint` in "
            "pyproject.toml, then main.py, app.py, api.py, and those in app/, as `fastapi run` does.",
        ),
    ] = None,
    *,
    queues: Annotated[
        str | None,
        typer.Option(
            metavar="mail:20,reports",
            show_default=False,
            help="Only of these queues, and with a number: so many jobs of it at once. Default: all of them.",
        ),
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="How many jobs at once: a number for `async def` tasks, or loop=100,threads=16,processes=4.",
        ),
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Answer GET /healthz here: 200, or 503 if it has to be started again."),
    ] = None,
) -> None:
    """Run the jobs of an application in a process that serves no requests.

    The application's lifespan runs, so that tasks find their pools and models. SIGTERM or Ctrl-C: nothing new starts,
    what runs has the grace (`shutdown_grace`, POSTLUDE_SHUTDOWN_GRACE), the rest is given back. The same once more:
    everything is given back at once.

    Exit code: 0 when it was told to end; 1 if it could not start; 2 for a command line that makes no sense; 3 when too
    many of its threads are stuck, and it should be started again.
    """
    raise typer.Exit(work(application, queues, concurrency, health_port))


@commands.command()
def move(
    source: Annotated[str, typer.Argument(help="Where the jobs are: sqlite:///jobs.db.", show_default=False)],
    destination: Annotated[
        str, typer.Argument(help="Where they go: postgresql://user@host/database.", show_default=False)
    ],
    *,
    drain: Annotated[
        bool, typer.Option("--drain", help="Wait for what runs at the source, and let nothing new begin there.")
    ] = False,
    history: Annotated[bool, typer.Option("--history", help="Carry what has ended, too; also later.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Open the source again, as long as no job has arrived.")] = False,
    namespace: Annotated[
        str | None, typer.Option(help="That of the application. Default: POSTLUDE_NAMESPACE, or `default`.")
    ] = None,
    schema: Annotated[
        str | None, typer.Option(help="Where the tables are. Default: POSTLUDE_SCHEMA, or `postlude`.")
    ] = None,
) -> None:
    """Carry all jobs from a SQLite file to PostgreSQL, and count them on both sides.

    Nothing may use the source meanwhile. A move that was cut off goes on when the same command is run again.

    Exit code: 0 when both sides count the same; 1 when they do not, or when something stands in the way; 2 when a URL
    names no store; 130 when it was ended by hand.
    """
    console = Console(highlight=False, markup=False)  # keys and paths may look like markup
    ends = ends_of(source, destination, namespace=namespace, schema=schema, console=console)
    if ends is None:
        raise typer.Exit(2)
    raise typer.Exit(move_jobs(ends, drain=drain, history=history, undo=undo, console=console))


@commands.command()
def migrate(
    url: Annotated[
        str | None,
        typer.Argument(metavar="[URL]", show_default=False, help="Where jobs are kept. Default: POSTLUDE_URL."),
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is missing, and change nothing.")] = False,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL that carries out what is missing, and change nothing.")
    ] = False,
    schema: Annotated[
        str | None,
        typer.Option(show_default=False, help="The schema of a PostgreSQL database. Default: POSTLUDE_SCHEMA."),
    ] = None,
) -> None:
    """Make the tables of a store, or bring them up to what this release needs.

    Not needed where the application may do that itself, which is the default. Run it before the new release starts; the
    one before works on with the result. POSTLUDE_PASSWORD is heeded, POSTLUDE_MIGRATE is not.

    Exit code: 0; 1 if it cannot be done, or not all of it (do it again); 2 when the URL names no store.
    """
    raise typer.Exit(bring_up_to_date(url, schema, dry_run=dry_run, sql=sql))


@commands.command()
def check(
    application: Annotated[
        str | None,
        typer.Argument(metavar="[APP]", show_default=False, help="As for `postlude worker`, found in the same way."),
    ] = None,
) -> None:
    """Look for everything by which an application would lose work, or never do it; each with its cure.

    Nothing is started, made or migrated. Run it with the environment and in the place in which the application runs.

    Exit code: 0 when there is nothing of that kind; 1 when there is; 2 when there is no application to look at.
    """
    raise typer.Exit(check_application(application, Console(highlight=False)))


# In the order in which they are shown.
commands.command()(status)
commands.add_typer(tasks, name="tasks")
commands.add_typer(enqueue, name="enqueue")
jobs.command()(stack)
jobs.command()(retry)
jobs.command()(cancel)
jobs.command()(delete)
commands.add_typer(jobs, name="jobs")
commands.add_typer(queues, name="queues")
commands.command()(pause)
commands.command()(resume)
commands.add_typer(schedules, name="schedules")
commands.command()(workers)
commands.command()(dashboard)
commands.command()(dashboard_link)
commands.command()(backup)
commands.command()(export)
commands.command()(audit)
