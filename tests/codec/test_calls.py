"""Mistakes in a call show at the line that makes it, with the cure."""

# functions and arguments of any type are the subject

import inspect
import warnings
from collections.abc import AsyncIterator, Iterator
from functools import partial, wraps
from typing import Any

import pytest

from postlude.codec import MAX_ARGUMENTS, Codec, check_callable
from postlude.errors import ArgumentsDoNotFit, ArgumentsTooLarge, CallError


def write_notification(email: str, message: str = "") -> None: ...


async def send(email: str) -> None: ...


class Mailer:
    """Its instances are meant to be the task; each needs a host first."""

    def __init__(self, host: str) -> None:
        self.host = host

    def __call__(self, email: str, message: str) -> None: ...

    def send(self, email: str) -> None: ...


def encode(function: Any, *args: Any, **kwargs: Any) -> str:
    return Codec(function, name=f"app:{getattr(function, '__qualname__', 'task')}").encode(args, kwargs).text


def call_error(function: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(CallError) as raised:
        encode(function, *args, **kwargs)
    assert isinstance(raised.value, TypeError)
    return str(raised.value)


@pytest.mark.parametrize(
    "function", [write_notification, send, print, Mailer, Mailer("h"), Mailer("h").send, partial(send, "a"), len, dict]
)
def test_whatever_can_be_called_may_be_a_task(function: object) -> None:
    check_callable(function)


@pytest.mark.parametrize(
    ("given", "shown"), [(None, "None"), (3, "an object of type int"), ("send", "an object of type str")]
)
def test_not_callable(given: object, shown: str) -> None:
    with pytest.raises(CallError) as raised:
        check_callable(given)
    assert str(raised.value) == (
        f"Expected a function, got {shown}. If the function was called in place, as in add_task(f(x)), "
        "it has already run: pass it and its arguments separately, add_task(f, x)."
    )


def test_a_coroutine_is_named_and_closed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Also "coroutine was never awaited", which comes when it is collected.
        coroutine = send("a@b.c")
        with pytest.raises(CallError) as raised:
            check_callable(coroutine)
        assert coroutine.cr_frame is None  # type: ignore[attr-defined]
        del coroutine
    assert str(raised.value) == (
        "Expected a function, got what calling send(...) returned. Pass the function and its arguments separately, "
        "so that it is called when the task runs: add_task(send, ...)."
    )


def test_generators_are_named_too() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def more_numbers() -> AsyncIterator[int]:
        yield 1

    for given in (numbers(), more_numbers()):
        with pytest.raises(CallError, match=r"got what calling (more_)?numbers\(\.\.\.\) returned"):
            check_callable(given)


def test_a_class_instead_of_an_instance() -> None:
    assert call_error(Mailer, "a@b.c", message="hello") == (
        "app:Mailer(host: str) -> None cannot be called with (str, message=str): unexpected 'message'. "
        "Mailer is a class whose instances can be called: pass an instance of it, Mailer(...), instead."
    )
    assert encode(Mailer("smtp.example"), "a@b.c", message="hello")


def supplying(function: Any) -> Any:
    @wraps(function)
    def wrapper(first: str, *more: Any) -> None:
        function("supplied", first, *more)

    return wrapper


@supplying
def supplied(database: str, email: list[str]) -> None: ...


def test_a_wrapper_may_supply_arguments_itself() -> None:
    codec = Codec(supplied, name="app:supplied")
    encoded = codec.encode(("bob",), {})
    assert encoded.text == '{"args":["bob"],"kwargs":{}}'
    assert Codec(supplied, name="app:supplied").decode(encoded.text) == (("bob",), {})
    # What neither takes is a mistake all the same, told by the signature that the function shows.
    assert call_error(supplied).startswith("app:supplied(database: str, email: list[str]) -> None cannot be called")


def handing_on(function: Any) -> Any:
    @wraps(function)
    def wrapper(*args: Any, attempts: int = 1, **kwargs: Any) -> None:
        function(*args, **kwargs)

    return wrapper


@handing_on
def handed_on(to: str, when: int = 0) -> None: ...


def test_what_a_wrapper_hands_on_has_to_fit_the_function() -> None:
    shown = "app:handed_on(to: str, when: int = 0) -> None cannot be called with"
    assert call_error(handed_on, "a", 1, 2).startswith(
        f"{shown} (str, int, int): 3 positional arguments where it takes 2"
    )
    assert call_error(handed_on, "a", wen=1) == f"{shown} (str, wen=int): unexpected 'wen': did you mean 'when'?"
    # A parameter of the wrapper's own is not handed on, and what is missing may be supplied by it.
    assert encode(handed_on, "a", attempts=3) == '{"args":["a"],"kwargs":{"attempts":3}}'
    assert encode(handed_on, when=1) == '{"args":[],"kwargs":{"when":1}}'


def test_a_class_may_be_meant() -> None:
    # Calling a class is legal in FastAPI's own background tasks, and a constructor may do something.
    assert encode(Mailer, "smtp.example") == '{"args":["smtp.example"],"kwargs":{}}'


def write_letter(email: str, /, *lines: str, subject: str, urgent: bool = False) -> None: ...


def sum_up(first: int, second: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "came", "said"),
    [
        (write_notification, (), {}, "()", "missing 'email'. Pass the arguments as the function itself"),
        (write_notification, ("a", "b", "c"), {}, "(str, str, str)", "3 positional arguments where it takes 2. Pass "),
        (write_notification, ("a",), {"email": 1}, "(str, email=int)", "'email' both by position and by name. Pass "),
        (
            write_notification,
            ("a",),
            {"mesage": "x"},
            "(str, mesage=str)",
            "unexpected 'mesage': did you mean 'message'?",
        ),
        (write_notification, ("a",), {"zip": 1}, "(str, zip=int)", "unexpected 'zip'. Pass the arguments as "),
        (
            write_notification,
            (),
            {"emial": "x", "zip": 1},
            "(emial=str, zip=int)",
            "missing 'email'; unexpected 'zip'; unexpected 'emial': did you mean 'email'?",
        ),
        (sum_up, (), {}, "()", "missing 'first' and 'second'. Pass "),
        (write_letter, ("a", "b", "c"), {"urgent": True}, "(str, str, str, urgent=bool)", "missing 'subject'. Pass "),
        (
            write_letter,
            (),
            {"email": "a", "subject": "b"},
            "(email=str, subject=str)",
            "'email' by name, which it takes by position only. Pass ",
        ),
    ],
)
def test_arguments_that_do_not_bind(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], came: str, said: str
) -> None:
    error = call_error(function, *args, **kwargs)
    name, signature = f"app:{function.__name__}", inspect.signature(function)
    assert error.startswith(f"{name}{signature} cannot be called with {came}: {said}")
    assert error.endswith((said, "Pass the arguments as the function itself would be called with."))


def test_a_keyword_is_looked_at_each_time() -> None:
    codec = Codec(write_notification, name="app:write_notification")
    codec.encode(("a",), {"message": "b"})
    codec.encode(("a",), {"message": "b"})
    with pytest.raises(CallError, match="'mesage'"):
        codec.encode(("a",), {"mesage": "b"})


def test_a_message_shows_no_values() -> None:
    assert "hunter2" not in call_error(write_notification, "a", password="hunter2")


def test_arguments_that_are_too_large() -> None:
    fits = "x" * (MAX_ARGUMENTS - len('{"args":[""],"kwargs":{}}'))
    codec = Codec(send, name="app:send")
    for _ in range(2):  # The second call is one of a known shape.
        assert len(codec.encode((fits,), {}).text) == MAX_ARGUMENTS
        with pytest.raises(ArgumentsTooLarge) as raised:
            codec.encode((fits + "x",), {})
    assert (raised.value.size, raised.value.limit) == (MAX_ARGUMENTS + 1, MAX_ARGUMENTS)
    assert str(raised.value) == (
        "The arguments of app:send take 1,048,577 bytes as JSON, and a job may carry 1,048,576. "
        "Write the data to a file or a table and give the task its path or id."
    )
    with pytest.raises(ArgumentsTooLarge):  # It is bytes that count, not characters.
        codec.encode(("é" * (MAX_ARGUMENTS // 2),), {})


# Reading what an older version of the function was called with


def misfit(function: Any, text: str) -> str:
    with pytest.raises(ArgumentsDoNotFit) as raised:
        Codec(function, name="app:f").decode(text)
    assert isinstance(raised.value, TypeError)
    said = str(raised.value)
    assert said.endswith(
        " If the function was changed while the job waited, let it take the old arguments too, "
        "or cancel the job and enqueue the call anew."
    )
    return said.partition(" If the function was changed")[0]


def test_a_parameter_that_is_gone() -> None:
    assert misfit(send, '{"args":["a"],"kwargs":{"message":"x"}}') == (
        "The stored arguments of app:f cannot be given to the function: got an unexpected keyword argument 'message'."
    )


def test_a_parameter_that_takes_something_else_now() -> None:
    assert misfit(write_notification, '{"args":[1],"kwargs":{}}') == (
        "The stored argument 'email' of app:f cannot be given to the function: "
        "the annotation takes str now, and it was stored as int."
    )

    def by_number(number: int, limit: float | None = None) -> None: ...

    assert "the annotation takes bool or int now, and it was stored as str" in misfit(
        by_number, '{"args":["1"],"kwargs":{}}'
    )
    assert "the annotation takes NoneType or bool or float or int now, and it was stored as str" in misfit(
        by_number, '{"args":[1,"x"],"kwargs":{}}'
    )

    def total(amounts: list[int]) -> None: ...

    assert misfit(total, '{"args":[[1,"many"]],"kwargs":{}}') == (
        "The stored argument 'amounts' of app:f cannot be given to the function: "
        "1: Input should be a valid integer, unable to parse string as an integer."
    )


@pytest.mark.parametrize("tag", ['{"$later":1}', '{"$exact":{"$later":1}}'])
def test_a_form_of_a_later_release(tag: str) -> None:
    assert "it was written with '$later', which this release does not know" in misfit(
        send, f'{{"args":[{tag}],"kwargs":{{}}}}'
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"args":1,"kwargs":{}}', '{"args":[],"kwargs":[]}', "null"])
def test_text_that_is_no_call(text: str) -> None:
    assert misfit(send, text) == (
        "The stored arguments of app:f cannot be given to the function: they are not in the form that Postlude writes."
    )
