"""Secrets that arguments have, masked in the texts of their job."""

import json
import time
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from postlude.masking import MASKED, Masking, Repeats
from postlude.views.values import Shown


def masked(text: str, *secrets: Any) -> str:
    repeats = Repeats()
    for secret in secrets:
        repeats.add(secret)
    return repeats.masked(text)


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        ("nothing to hide", (), "nothing to hide"),
        ("hunter2 and hunter2", ("hunter2",), f"{MASKED} and {MASKED}"),
        ("hunter2-and-more", ("hunter2", "hunter2-and-more"), MASKED),
        ("abcdefgh, abcdef", ("abcd", "cdefgh"), f"{MASKED}, {MASKED}ef"),
        ("abcdabcd", ("abcd",), MASKED * 2),
        ("a pin", ("pin",), "a pin"),
        ("4111 4111.5 -4111 x4111 41112 3.4111", (4111,), f"{MASKED} {MASKED}.5 -{MASKED} x4111 41112 3.4111"),
        ("41112222 4111", (4111, 41112222), f"{MASKED} {MASKED}"),
        ("41112", ("4111", 4111), f"{MASKED}2"),
        ("deep, 12.5 and True", ({"a": ["deep", {"b": 12.5}], "c": True},), f"{MASKED}, {MASKED} and True"),
        ("]-^\\ and ]-^", ("]-^\\",), f"{MASKED} and ]-^"),
    ],
)
def test_what_is_repeated(text: str, secrets: tuple[Any, ...], shown: str) -> None:
    assert masked(text, *secrets) == shown


@pytest.mark.parametrize("length", [4, 63, 64, 65, 300])
def test_of_any_length(length: int) -> None:
    secret = "k" * (length - 1) + "!"
    assert masked(f"<{secret}>", secret) == f"<{MASKED}>"
    assert masked(f"<{secret[:-1]}>", secret) == f"<{secret[:-1]}>"
    assert masked(f"<{secret}{secret}>", secret, secret + secret) == f"<{MASKED}>"


@pytest.mark.parametrize("secret", ["a/b+c d", "pässwört", 'it\'s \n\\ "quoted"', "snow \u2603 and 'all'"])
@pytest.mark.parametrize(
    "spell",
    [
        str,
        repr,
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        quote,
        lambda secret: quote(secret, safe=""),
        quote_plus,
    ],
    ids=["plain", "Python", "JSON", "JSON in Unicode", "path", "part of a path", "form"],
)
def test_in_any_spelling(secret: str, spell: Any) -> None:
    assert secret not in (shown := masked(f"<{spell(secret)}>", secret))
    assert shown.strip("<>\"'") == MASKED


def rows(count: int) -> tuple[str, str]:
    """The arguments of a call with many rows that have secrets, and a text that repeats them."""
    cards = [{"card": 4111_1111_0000_0000 + number, "name": f"Anna {number}"} for number in range(count)]
    logins = [{"token": f"{number:x}/geheim-{number}", "of": f"user {number}"} for number in range(count * 2 // 5)]
    text = " ".join(f"{row['card']} of {row['name']};" for row in cards) + repr([row["token"] for row in logins])
    return json.dumps({"args": [], "kwargs": {"rows": cards, "logins": logins}}), text


def took(count: int) -> float:
    stored, text = rows(count)
    before = time.perf_counter()
    shown = Shown(Masking(), None, stored)
    said = shown.text(text)
    arguments = {each.name: each.value for each in shown.arguments()}
    seconds = time.perf_counter() - before
    assert "41111" not in said
    assert "geheim" not in said
    assert f"{MASKED} of Anna {count - 1};" in said
    assert arguments["rows"][-1] == {"card": MASKED, "name": f"Anna {count - 1}"}
    assert arguments["logins"][-1]["token"] == MASKED
    return seconds


def test_the_time_that_it_takes_goes_by_the_size() -> None:
    """It is spent on the event loop at a failure of such a job."""
    assert min(took(5_000) for _ in range(2)) < 2
    few, many = (min(took(count) for _ in range(3)) for count in (500, 4_000))
    assert many < few * 8 * 4, "about eight times as long"


def test_what_looks_alike_takes_no_longer() -> None:
    repeats = Repeats()
    for length in range(4, 1_000):
        repeats.add("a" * length)
    before = time.perf_counter()
    assert repeats.masked(f"{'a' * 3}b" * 2_000 + "a" * 20_000) == f"{'a' * 3}b" * 2_000 + MASKED
    assert time.perf_counter() - before < 2
