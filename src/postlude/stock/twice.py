"""What in the source of a task looks as if it should not be done twice; by names alone, and nothing is run.

Postlude runs a task again whose process died in mid-run. A function looks unsafe to run twice if its name, or what it
calls, says that somebody is sent something or charged, or that something is added to what is there; see `SIGNS`. The
functions of the same file that it calls by their names are looked at, too. One that mentions idempotency, or the job
(`current_job`), is taken to know what it does.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNS: Final = {
    "sends": "dispatch email mail notify post publish push send sendmail sms tweet",
    "charges": "charge credit debit pay payout refund transfer withdraw",
    "adds": "create decr decrement enqueue incr increment insert",
}
"""Words in the names of functions, by what they say."""
_WORDS: Final = {word: sign for sign, words in SIGNS.items() for word in words.split()}
_OWN_NAME: Final = frozenset({"sends", "charges"})
"""What the name of a task says of it as a whole; `create_report` may well write one file over and over."""
_HARMLESS: Final = re.compile(
    r"create_(task|engine|async_engine|session|connection|pool|subprocess_\w+)|post_(init|process|save)\w*"
)
_SESSION: Final = re.compile(r"(?i)(.*_)?(db|session)")
_KNOWS: Final = re.compile(r"(?i)idempoten|\bcurrent_job\b")
_INSERT: Final = re.compile(r"(?is)\binsert\s+into\b(?!.*\bon\s+(conflict|duplicate)\b)")
_RELATIVE: Final = re.compile(r"(?i)\bset\b.*?\b(\w+)\s*=\s*\1\s*[-+*]", re.DOTALL)

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Sign(NamedTuple):
    """Something that looks as if it should not be done twice."""

    line: int
    what: str


def signs(source: str, name: str, first_line: int) -> list[Sign] | None:
    """What there is of that in a function, in the order of the lines; None: the source does not have it, or no more.

    Args:
        source: of the file that it is in.
        name: the function's own, as in its code.
        first_line: where it began when it was last seen; of several with its name, the nearest is meant.
    """
    try:
        functions = _functions(ast.parse(source))
    except SyntaxError:
        return None
    task = min(functions.get(name, ()), key=lambda each: abs(each.lineno - first_line), default=None)
    if task is None:
        return None
    reached = _reached(task, functions)
    if any(_KNOWS.search(ast.unparse(function)) for function in reached):
        return []
    found = {sign for function in reached for node in ast.walk(function) for sign in _of(node)}
    said = _said_by(name)
    if said in _OWN_NAME:
        found.add(Sign(task.lineno, f"its name says that it {said}"))
    return sorted(found)


def _functions(tree: ast.Module) -> dict[str, list[Function]]:
    functions: dict[str, list[Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, Function):
            functions.setdefault(getattr(node, "name", "<lambda>"), []).append(node)
    return functions


def _reached(task: Function, functions: dict[str, list[Function]]) -> list[Function]:
    """The function, and those of its file that it calls by their names, and so on."""
    reached = [task]
    for function in reached:  # which grows meanwhile
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                reached += [each for each in functions.get(node.func.id, ())[:1] if each not in reached]
    return reached


def _of(node: ast.AST) -> Iterator[Sign]:
    match node:
        case ast.Call(func=ast.Name() | ast.Attribute() as called):
            what = _of_call(node, called)
            if what is not None:
                yield Sign(node.lineno, what)
        case ast.AugAssign(target=ast.Attribute(value=ast.Name(id=owner)) as target) if owner not in {"self", "cls"}:
            yield Sign(node.lineno, f"changes {ast.unparse(target)} by what it was")
        case ast.Constant(value=str(text)) if _INSERT.search(text):
            yield Sign(node.lineno, "inserts a row, without ON CONFLICT")
        case ast.Constant(value=str(text)) if _RELATIVE.search(text):
            yield Sign(node.lineno, "changes a column by what it was")


def _of_call(call: ast.Call, called: ast.Name | ast.Attribute) -> str | None:
    name = called.attr if isinstance(called, ast.Attribute) else called.id
    shown = ast.unparse(called)
    if name == "open" and _appends(call):
        return f"{shown}() appends to a file"
    if name in {"add", "add_all"} and isinstance(called, ast.Attribute):
        owner = ast.unparse(called.value).rpartition(".")[2]
        return f"{shown}() adds a row" if _SESSION.fullmatch(owner) else None
    said = _said_by(name)
    return None if said is None else f"{shown}() {said}"


def _appends(call: ast.Call) -> bool:
    values = [*call.args[:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return any(isinstance(value, ast.Constant) and value.value in {"a", "a+", "ab", "ab+", "at"} for value in values)


def _said_by(name: str) -> str | None:
    """What the words of a name say: the first that does."""
    if _HARMLESS.fullmatch(name):
        return None
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    return next((_WORDS[word.lower()] for word in words if word.lower() in _WORDS), None)
