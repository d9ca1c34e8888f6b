"""Which functions are tasks, under which names, and which names lead nowhere."""

import functools
import gc
import json
import os
import shutil
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import postlude.tasks
from postlude import task
from postlude.codec import Codec
from postlude.errors import CallError, NotStorable, TaskDeclarationError, UnknownTask
from postlude.registry import Registry, import_tasks
from postlude.source import belongs, may_import, source_root

ROOT = Path(__file__).parents[1]
HERE = __name__


def plain(text: str) -> None:
    pass


async def plain_async() -> None:
    pass


class Mailer:
    def send(self, to: str) -> None:
        pass

    @classmethod
    def of_class(cls) -> None:
        pass

    @staticmethod
    def static() -> None:
        pass

    def __call__(self) -> None:
        pass


class AsyncCallable:
    async def __call__(self) -> None:
        pass


@dataclass(frozen=True)
class Charge:
    user: int
    session: object = field(compare=False)

    def __call__(self) -> None:
        pass


mailer = Mailer()
shadowed: Callable[[], None] = lambda: None  # noqa: E731


def replaced() -> None:
    pass


original = replaced


def replaced() -> None:  # type: ignore[no-redef]
    pass


@pytest.fixture
def registry() -> Registry:
    return Registry(ROOT)


@pytest.fixture
def declarations(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., Any]]:
    """A process in which nothing has been declared yet."""
    declared: dict[str, Callable[..., Any]] = {}
    monkeypatch.setattr(postlude.tasks, "declared", declared)
    monkeypatch.setattr("postlude.registry.declared", declared)
    return declared


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An application's folder that can be imported from, and is forgotten afterwards."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


# From a function to its name


@pytest.mark.parametrize(
    ("function", "name", "executor"),
    [
        (plain, "plain", "thread"),
        (plain_async, "plain_async", "loop"),
        (Mailer.static, "Mailer.static", "thread"),
        (Mailer.of_class, "Mailer.of_class", "thread"),
        (Mailer, "Mailer", "thread"),
    ],
)
def test_what_can_be_imported_again_is_a_task_as_it_is(
    registry: Registry, function: Callable[..., Any], name: str, executor: str
) -> None:
    definition = registry.of(function)
    assert definition.name == f"{HERE}:{name}"
    assert definition.executor == executor
    assert definition.unstorable is None
    assert registry.of(function) is definition, "made once"
    assert registry.find(definition.name).function == function


def test_a_name_is_found_although_nobody_has_used_the_function_yet(registry: Registry) -> None:
    assert registry.find(f"{HERE}:plain").function is plain
    assert registry.find(f"{HERE}:Mailer.static").function is Mailer.static
    assert registry.knows(f"{HERE}:plain")


def local() -> Callable[[], None]:
    def inside() -> None:
        pass

    return inside


TOP_LEVEL = "Use a function at the top level of a module, and pass what it needs as arguments."


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda: None, f"it is a lambda. {TOP_LEVEL}"),
        (local(), f"it is defined inside another function. {TOP_LEVEL}"),
        (
            functools.partial(plain, "x"),
            "it is a partial. Pass the function itself and its arguments: add_task(function, ...).",
        ),
        (mailer.send, f"it is a method of one Mailer object, which stays in this process. {TOP_LEVEL}"),
        (original, f"the name '{HERE}:replaced' does not lead back to it. Give it a name of its own with"),
    ],
    ids=["lambda", "closure", "partial", "method", "replaced"],
)
def test_what_no_other_process_could_find_is_ephemeral_and_says_why(
    registry: Registry, function: Callable[..., Any], text: str
) -> None:
    unstorable = registry.of(function).unstorable
    assert unstorable is not None
    assert text in str(unstorable)
    assert unstorable.argument is None


@pytest.mark.parametrize("function", [mailer, AsyncCallable()])
def test_an_object_that_can_be_called_is_ephemeral(registry: Registry, function: Callable[..., Any]) -> None:
    definition = registry.of(function)
    assert definition.unstorable is not None
    assert definition.executor == ("loop" if isinstance(function, AsyncCallable) else "thread")


def test_what_cannot_be_stored_is_not_kept(registry: Registry) -> None:
    makes: list[Callable[[], Callable[..., Any]]] = [
        local,
        lambda: functools.partial(plain, "x"),
        lambda: Mailer().send,
        Mailer,
    ]
    for make in makes:
        function = make()
        registry.of(function)
        gone = weakref.ref(getattr(function, "__self__", function))
        del function
        gc.collect()
        assert gone() is None
    assert not registry._by_function


def test_the_method_of_a_class_is_kept_once(registry: Registry) -> None:
    assert len({id(registry.of(Mailer.of_class)) for _ in range(10)}) == 1
    assert len(registry._by_function) == 1


def test_callables_that_are_equal_are_not_confused(registry: Registry) -> None:
    for session in ("first", "second"):
        charge = Charge(1, session)
        assert registry.of(charge).function is charge


def test_what_cannot_be_hashed_works_all_the_same(registry: Registry) -> None:
    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self) -> None:
            pass

    assert registry.of(Unhashable()).unstorable is not None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "Expected a function, got None. If the function was called in place, as in add_task(f(x)),"),
        ("plain", "Expected a function, got an object of type str."),
    ],
)
def test_what_is_no_function_is_a_mistake(registry: Registry, given: object, text: str) -> None:
    with pytest.raises(CallError) as raised:
        registry.of(given)  # type: ignore[arg-type]
    assert text in str(raised.value)


def test_a_coroutine_is_a_mistake_and_python_does_not_complain_of_it_too(registry: Registry) -> None:
    with pytest.raises(CallError, match=r"got what calling plain_async\(\.\.\.\) returned"):
        registry.of(plain_async())  # type: ignore[arg-type]


# Outside the application's source


def test_a_function_outside_the_source_root_is_ephemeral_and_the_warning_has_the_line_that_cures_it(
    registry: Registry,
) -> None:
    unstorable = registry.of(os.remove).unstorable
    assert str(unstorable) == (
        "The call of posix:remove cannot be stored: it lies outside the application's source root "
        f'({ROOT}). To store its calls: Postlude(app, allow=["os:remove"]).'
    )
    assert str(registry.of(shutil.rmtree).unstorable).endswith('Postlude(app, allow=["shutil:rmtree"]).')


def test_what_is_allowed_is_a_task() -> None:
    registry = Registry(ROOT, allow=["os:remove", "shutil:rmtree"])
    for name, function in (("os:remove", os.remove), ("shutil:rmtree", shutil.rmtree)):
        definition = registry.of(function)
        assert definition.name == name
        assert definition.unstorable is None
        assert Registry(ROOT, allow=[name]).find(name).function is function


@pytest.mark.parametrize(
    ("name", "function"), [("pathlib:Path.home", lambda: Path.home), ("builtins:dict.fromkeys", lambda: dict.fromkeys)]
)
def test_a_class_method_that_is_allowed_is_a_task_however_often_it_is_looked_up(
    name: str, function: Callable[[], Callable[..., Any]]
) -> None:
    registry = Registry(ROOT, allow=[name])
    assert function() is not function()
    definition = registry.of(function())
    assert (definition.name, definition.unstorable) == (name, None)
    assert registry.of(function()) is definition
    assert Registry(ROOT, allow=[name]).find(name).function == function()


@pytest.mark.parametrize("name", ["os:no_such", "no_such_module:f", "os"])
def test_what_cannot_be_allowed_is_named(name: str) -> None:
    with pytest.raises(TaskDeclarationError) as raised:
        Registry(ROOT, allow=[name])
    assert str(raised.value).startswith(f"allow={name!r}: ")
    assert str(raised.value).endswith("Expected 'module:name' of a function that can be imported.")


def test_a_task_that_a_library_declares_is_a_task(project: Path, declarations: dict[str, Callable[..., Any]]) -> None:
    write(project, "library.py", "from postlude import task\n@task\ndef ours(): ...\ndef other(): ...\n")
    library = import_module("library")
    registry = Registry(ROOT)
    assert registry.of(library.ours).unstorable is None
    assert registry.of(library.other).unstorable is not None


def test_third_party_code_below_the_source_root_is_not_the_applications(project: Path) -> None:
    inside = write(project, ".venv/lib/site-packages/library.py", "def f(): ...\n")
    assert not belongs(_module(inside), project)
    assert belongs(_module(write(project, "own.py", "")), project)
    assert not belongs(_module(ROOT / "elsewhere.py"), project)
    assert not belongs(_module(None), project)
    assert not belongs(_module(inside), None)


def _module(file: Path | None) -> ModuleType:
    module = ModuleType("module")
    if file is not None:
        module.__file__ = str(file)
    return module


# From a name to its function: a writable database is not a remote shell


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "posix:system",
        "subprocess:run",
        "builtins:exec",
        "shutil:rmtree",
        "sys:exit",
        f"{HERE}:os.system",
        f"{HERE}:sys.modules",
        f"{HERE}:import_module",
        f"{HERE}:plain.__globals__",
        f"{HERE}:plain.__globals__.get",
        f"{HERE}:Registry",
        f"{HERE}:functools.partial",
        f"{HERE}:mailer.send",
        f"{HERE}:shadowed",
        f"{HERE}:no_such",
        f"{HERE}:plain.__call__",
        f"{HERE}:Mailer.__init__",
        f"{HERE}:__builtins__",
        f"{HERE}:",
        f"{HERE}:.",
        f"{HERE}:plain.",
        ":plain",
        ":",
        "",
        "plain",
        "../../etc/passwd:root",
        "tests..engine:plain",
        "no_such_module:f",
        "ctypes:CDLL",
        "os.path:join",
    ],
)
def test_a_stored_name_that_reaches_outside_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(UnknownTask) as raised:
        registry.find(name)
    assert str(raised.value).startswith(f"No task named {name!r} can be run here: ")
    assert not registry.knows(name)


def test_resolving_a_name_imports_only_what_lies_below_the_source_root(project: Path, tmp_path: Path) -> None:
    write(project, "jobs.py", "def work(): ...\n")
    write(project, "package/__init__.py", "")
    write(project, "package/tasks.py", "def work(): ...\n")
    outside = tmp_path / "outside"
    write(outside, "stranger.py", "raise SystemExit('imported!')\n")
    sys.path.append(str(outside))
    try:
        registry = Registry(project)
        assert registry.knows("jobs:work")
        assert registry.knows("package.tasks:work")
        with pytest.raises(UnknownTask, match=r"there is no module 'stranger' below .*project\."):
            registry.find("stranger:work")
        assert "stranger" not in sys.modules
        assert not Registry(None).knows("antigravity:geohash")
        assert "antigravity" not in sys.modules
    finally:
        sys.path.remove(str(outside))


def test_a_module_that_cannot_be_imported_is_unknown_with_the_reason(project: Path) -> None:
    write(project, "broken.py", "import no_such_library\n")
    with pytest.raises(UnknownTask, match="importing 'broken' raised ModuleNotFoundError"):
        Registry(project).find("broken:work")


def test_a_script_that_ends_the_process_ends_only_its_own_import(project: Path) -> None:
    write(project, "script.py", "import sys\nsys.exit(3)\n")
    with pytest.raises(UnknownTask, match="importing 'script' raised SystemExit"):
        Registry(project).find("script:work")


def test_a_name_close_to_one_that_exists_is_suggested(registry: Registry) -> None:
    with pytest.raises(UnknownTask) as raised:
        registry.find(f"{HERE}:plane_async")
    assert str(raised.value) == (
        f"No task named '{HERE}:plane_async' can be run here: '{HERE}' has no function 'plane_async'. "
        f"Did you mean '{HERE}:plain_async'? "
        f"If the function was renamed, declare its new form with @task(formerly='{HERE}:plane_async')."
    )


# @task


def test_a_name_given_is_kept_and_old_names_lead_to_the_function(
    project: Path, declarations: dict[str, Callable[..., Any]]
) -> None:
    text = 'from postlude import task\n@task(name="mail", formerly=["send_mail", "main:send"])\ndef renamed(): ...\n'
    write(project, "mails.py", text)
    mails = import_module("mails")
    registry = Registry(None)
    definition = registry.of(mails.renamed)
    assert (definition.name, definition.unstorable) == ("mail", None)
    for name in ("mail", "send_mail", "main:send"):
        found = registry.find(name)
        assert found.function is mails.renamed
        assert found.name == "mail"


def test_a_name_that_was_unknown_is_looked_for_again_after_the_next_declaration(
    registry: Registry, project: Path, declarations: dict[str, Callable[..., Any]]
) -> None:
    assert not registry.knows("late")
    assert not registry.knows("late")
    write(project, "late.py", 'from postlude import task\n@task(name="late")\ndef declared_late(): ...\n')
    import_module("late")
    assert registry.knows("late")


NAMED = """
import functools
from postlude import task

def passing(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper

class Mailer:
    @task(name="send")
    def send(self, to): ...
    @classmethod
    @task(name="of class")
    def of_class(cls): ...

@passing
@task(name="wrapped")
def wrapped(): ...

@task(name="outermost")
@passing
def outermost(): ...

@task(name="inner")
def inner(): ...
beside = passing(inner)

def closure():
    @task(name="closure")
    def inside(): ...
    return inside
"""


@pytest.fixture
def named(project: Path, declarations: dict[str, Callable[..., Any]]) -> ModuleType:
    write(project, "named.py", NAMED)
    return import_module("named")


@pytest.mark.parametrize("path", ["Mailer.send", "Mailer.of_class", "wrapped", "outermost", "inner"])
def test_what_a_name_given_leads_to_after_a_restart_is_what_was_stored(named: ModuleType, path: str) -> None:
    function: Any = named
    for part in path.split("."):
        function = getattr(function, part)
    definition = Registry(None).of(function)
    assert definition.unstorable is None
    assert Registry(None).find(definition.name).function == function


@pytest.mark.parametrize(
    ("make", "name", "text"),
    [
        (
            lambda named: named.Mailer().send,
            "send",
            f"it is a method of one Mailer object, which stays in this process. {TOP_LEVEL}",
        ),
        (lambda named: named.closure(), "closure", f"it is defined inside another function. {TOP_LEVEL}"),
        (
            lambda named: named.beside,
            "inner",
            "the name 'inner' leads to the function inside the wrapper. Put @task outermost, above what wraps the",
        ),
        (lambda named: named.wrapped.__wrapped__, "wrapped", "the name 'wrapped' does not lead back to it."),
    ],
    ids=["method", "closure", "wrapper", "inside the wrapper"],
)
def test_a_name_given_that_leads_to_something_else_is_refused(
    named: ModuleType, make: Callable[[ModuleType], Callable[..., Any]], name: str, text: str
) -> None:
    definition = Registry(None).of(make(named))
    assert definition.name == name
    assert definition.unstorable is not None
    assert text in str(definition.unstorable)


def test_a_closure_is_not_run_for_a_name_that_a_job_has(named: ModuleType) -> None:
    named.closure()
    with pytest.raises(UnknownTask, match="it is defined inside another function"):
        Registry(None).find("closure")


def test_one_name_leads_to_one_function(declarations: dict[str, Callable[..., Any]]) -> None:
    task(name="mail")(plain)
    task(name="mail")(plain)  # a module that is imported once more, by a reload
    try:
        with pytest.raises(TaskDeclarationError) as raised:
            task(formerly="mail")(plain_async)
        assert str(raised.value) == (
            f"Two tasks are named 'mail': {HERE}:plain and {HERE}:plain_async. "
            "A name leads to one function: give one of them another name."
        )
    finally:
        for function in (plain, plain_async):
            vars(function).pop("__postlude_task__", None)


def test_the_decorator_returns_the_function_itself(declarations: dict[str, Callable[..., Any]]) -> None:
    def one() -> int:
        return 1

    def two() -> int:
        return 2

    assert task(one) is one
    assert task(interrupted="hold")(two) is two
    assert (one(), two()) == (1, 2)


@pytest.mark.parametrize(
    ("options", "asynchronous", "problem"),
    [
        ({"executor": "loop"}, False, "executor='loop' needs an `async def` function: a `def` would block the loop."),
        ({"executor": "thread"}, True, "executor='thread' needs a `def` function: an `async def` runs on the loop."),
        (
            {"executor": "a gpu"},
            False,
            "executor must be 'loop', 'thread', 'process' or a registered name, got 'a gpu'",
        ),
        ({"interrupted": "retry"}, False, "interrupted must be 'rerun' or 'hold', got 'retry'"),
        ({"remote": "yes"}, False, "remote must be True or False, got 'yes'"),
        ({"formerly": 5}, False, "formerly must be a name or several, as text, got 5"),
        ({"formerly": ["a", 5]}, False, "a name must be a non-empty string, got 5"),
        ({"max_runing": 2}, False, "max_runing is no option: did you mean max_running?"),
        ({"zzzzzz": 2}, False, "zzzzzz is no option: there are backoff, executor,"),
        ({"retries": 10**30}, False, "retries must be a whole number from 0 to 1,000,000, True for 14"),
        ({"max_interruptions": 0}, False, "max_interruptions must be a whole number, 1 or more, got 0"),
        ({"name": " "}, False, "a name must be a non-empty string, got ' '"),
        ({"formerly": ["", "x"]}, False, "a name must be a non-empty string, got ''"),
        ({"name": 5}, False, "a name must be a non-empty string, got 5"),
        ({"max_interruptions": "3"}, False, "max_interruptions must be a whole number, 1 or more, got '3'"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused_where_it_stands(
    options: dict[str, Any], asynchronous: bool, problem: str
) -> None:
    function: Callable[..., Any] = plain_async if asynchronous else plain
    with pytest.raises(TaskDeclarationError) as raised:
        task(**options)(function)
    assert problem in str(raised.value)
    assert str(raised.value).startswith(f"@task on {function.__name__}: ")


def test_what_is_no_function_is_no_task() -> None:
    with pytest.raises(TaskDeclarationError) as raised:
        task("send")  # type: ignore[call-overload]
    assert str(raised.value) == "@task on 'send': it is no function; a name is given as @task(name=...)."


def test_all_problems_of_a_declaration_are_named_at_once() -> None:
    with pytest.raises(TaskDeclarationError) as raised:
        task(executor="a gpu", interrupted="never", max_interruptions=-1)(plain)  # type: ignore[call-overload]
    assert str(raised.value).count(";") == 2


def test_policy_comes_from_the_task_then_from_the_application() -> None:
    @task(interrupted="rerun", max_interruptions=7)
    def declared() -> None:
        pass

    held = Registry(ROOT, interrupted="hold")
    assert held.of(declared).policy.interrupted == "rerun"
    assert held.of(declared).policy.max_interruptions == 7
    assert held.of(plain).policy.interrupted == "hold"
    assert json.loads(held.of(plain).policy_text or "") == {"interrupted": "hold"}
    assert Registry(ROOT).of(plain).policy_text is None


# __main__


def test_what_runs_as_main_is_known_under_the_name_that_others_import(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    main = ModuleType("__main__")
    main.__file__ = str(write(tmp_path, "serve.py", ""))
    exec("def work(): ...", vars(main))
    main.work.__module__ = "__main__"
    monkeypatch.setitem(sys.modules, "__main__", main)
    registry = Registry(tmp_path)
    assert registry.of(main.work).name == "serve:work"
    assert registry.of(main.work).unstorable is None
    assert Registry(tmp_path).find("serve:work").function is main.work, "without importing the file a second time"


def test_what_runs_as_a_module_is_known_under_its_dotted_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    for spec, name in (("app.serve", "app.serve"), ("app.__main__", "app")):
        main.__spec__ = ModuleSpec(spec, None)
        assert postlude.tasks.importable_name("__main__") == name
    assert postlude.tasks.importable_name("other") == "other"


# The source root


def test_beside_a_plain_module_the_root_is_its_folder(tmp_path: Path) -> None:
    assert source_root(str(write(tmp_path, "main.py", ""))) == tmp_path.resolve()
    assert source_root(None) is None


def test_for_a_package_the_root_is_the_folder_that_holds_it(tmp_path: Path) -> None:
    write(tmp_path, "app/__init__.py", "")
    write(tmp_path, "app/web/__init__.py", "")
    main = write(tmp_path, "app/web/main.py", "")
    assert source_root(str(main)) == tmp_path.resolve()


def test_for_an_installed_package_the_root_is_the_package_alone(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "site-packages"
    write(packages, "app/__init__.py", "")
    main = write(packages, "app/main.py", "")
    write(packages, "stranger.py", "")
    root = source_root(str(main))
    assert root == packages.resolve() / "app"
    assert may_import("app.main", root)
    assert not may_import("stranger", root)
    assert belongs(_module(main), root)


@pytest.mark.parametrize("name", ["", ".", "main.", "../main", "/etc/passwd", "a/b", "a b", "main.py", "no.such"])
def test_what_is_no_module_below_the_root_may_not_be_imported(tmp_path: Path, name: str) -> None:
    write(tmp_path, "main.py", "")
    assert may_import("main", tmp_path)
    assert not may_import(name, tmp_path)
    assert not may_import("main", None)


def test_a_module_that_tasks_names_and_that_cannot_be_imported() -> None:
    import_tasks(["json"])
    with pytest.raises(TaskDeclarationError) as raised:
        import_tasks(["app.no_such"])
    assert str(raised.value) == (
        "tasks='app.no_such': No module named 'app'. Expected the dotted name of a module, such as 'app.tasks'."
    )


def test_the_arguments_are_checked_by_the_function_that_was_given() -> None:
    with pytest.raises(CallError):
        Codec(plain, name="main:plain").encode((), {})
    with pytest.raises(NotStorable):
        Codec(plain, name="main:plain").encode((object(),), {})
