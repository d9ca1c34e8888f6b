"""Write `docs/commands.md` from the commands themselves: `.venv/bin/python scripts/commands_page.py`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Final, TypeAlias

import typer

from postlude.cli.codes import CODES
from postlude.cli.commands import commands

PAGE: Final = Path(__file__).parents[1] / "docs" / "commands.md"
COMMON: Final = "Where"
"""The panel of the options that every command on a store has."""

Shown: TypeAlias = Any
"""A command or a parameter of click, which typer has under several names."""

INTRODUCTION: Final = """\
<!--- written by scripts/commands_page.py -->

# The command line

All commands of `postlude`, written from what they say of themselves: `postlude COMMAND --help` has the same.

    pip install 'postlude[standard]'
    postlude --install-completion      # of commands, options and tasks, in bash, zsh, fish and PowerShell

Whoever can reach the store with its URL can do all that the commands do: there is nothing else to sign in to. What is
done with them is in the audit log, with the user of the operating system and the machine.

## Where the jobs are

A command finds the jobs as the server does. In this order:

1. `--app main:app`: where that application keeps them. `--url URL`: there, and no application is imported.
2. The application that is found in the current folder as `postlude worker` finds it.
3. The store that `POSTLUDE_URL` names, or the default file, `.postlude/jobs.db` in the current folder.

Signatures, typed results, and what the application itself declares to be secret are known where there is an
application. A command never makes a store: where none is, it says so. It is no worker, and is not seen as one.

## For scripts

With `--json` standard output has nothing but JSON: one value, or one in each line for `export` and `jobs tail`. Moments
are ISO 8601 in UTC, durations seconds. What is secret by its name or its type is masked there, too. Notes, questions
and errors go to standard error.

| exit code | |
|---|---|
{codes}

`worker`, `check`, `move`, `migrate` and `demo` have codes of their own, which stand with them. Commands that change all
jobs that match say how many those are, and ask; `--yes` answers for you. Without a terminal to ask on, and without
`--yes`, nothing is done.
"""


def page() -> str:
    """The text of the page."""
    codes = "\n".join(f"| {code} | {said} |" for code, said in CODES.items())
    root: Shown = typer.main.get_command(commands)
    parts = [INTRODUCTION.replace("{codes}", codes)]
    for name, command in root.commands.items():
        parts += _sections(f"postlude {name}", command)
    return "\n".join(parts)


def _sections(name: str, command: Shown) -> list[str]:
    inner = getattr(command, "commands", {})
    if not inner:
        return [_section(name, command)]
    return [_ for each, sub in inner.items() for _ in _sections(f"{name} {each}", sub)]


def _section(name: str, command: Shown) -> str:
    shown = [each for each in command.params if not _is_common(each) and "--help" not in each.opts]
    own = sorted(shown, key=lambda each: bool(each.param_type_name != "argument"))
    lines = [f"## `{name}`", "", f"    {_usage(name, command, own)}", "", inspect.cleandoc(command.help or "")]
    if own:
        lines += ["", "| | |", "|---|---|", *(f"| {_shown(each)} | {_said(each)} |" for each in own)]
    if any(map(_is_common, command.params)):
        lines += ["", "And [`--app`, `--url`](#where-the-jobs-are), [`--json`](#for-scripts)."]
    return "\n".join([*lines, ""])


def _is_common(parameter: Shown) -> bool:
    return getattr(parameter, "rich_help_panel", None) == COMMON


def _usage(name: str, command: Shown, own: list[Shown]) -> str:
    arguments = [_argument(each) for each in own if each.param_type_name == "argument"]
    if hasattr(command, "commands"):
        arguments.append(command.subcommand_metavar)
    return " ".join([name, *arguments, *(["[OPTIONS]"] if len(own) > len(arguments) else [])])


def _argument(parameter: Shown) -> str:
    text = (parameter.metavar or parameter.name.upper()).strip("[]")
    text = text if parameter.nargs == 1 else f"{text}..."
    return text if parameter.required else f"[{text}]"


def _shown(parameter: Shown) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_argument(parameter)}`"
    names = ", ".join(f"`{each}`" for each in [*parameter.opts, *parameter.secondary_opts])
    value = "" if parameter.is_flag else f" `{parameter.metavar or str(parameter.name).upper()}`"
    return f"{names}{value}"


def _said(parameter: Shown) -> str:
    default = parameter.default
    told = f" Default: {default}." if parameter.show_default and default not in (None, False, ()) else ""
    return f"{(parameter.help or '').strip()}{told}".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
