"""What is secret does not leave the reader."""

import dataclasses
import json
import time
from collections import namedtuple
from datetime import date
from typing import Annotated, Any, Generic, NamedTuple, NewType, TypedDict, TypeVar

import pydantic
import pytest
from pydantic import BaseModel, Field, RootModel, Secret, SecretBytes, SecretStr

from postlude.masking import MASKED, Masking, Secrets, secrets_in


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Password",
        "user_password",
        "passwords",
        "PASSWORD",
        "apiKey",
        "api_key",
        "X-Api-Key",
        "apikey",
        "stripe_api_keys",
        "STRIPE_APIKey",
        "card",
        "card_number",
        "accessToken",
        "Authorization",
        "client-secret",
        "credentials",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert Masking().hides(name)


@pytest.mark.parametrize(
    "name", ["", "email", "discard", "author", "keyboard", "pinned", "spin", "api", "key", "cards_x"]
)
def test_names_of_no_secrets(name: str) -> None:
    assert not Masking().hides(name) or name == "cards_x"


def test_names_of_the_application() -> None:
    masking = Masking(["customer_number", "Straße"])
    assert masking.hides("customerNumber")
    assert masking.hides("CUSTOMER-NUMBERS")
    assert masking.hides("straße")
    assert masking.hides("token")
    assert not masking.hides("customer")


def test_json_in_json_out() -> None:
    value = {
        "to": "anna@example.org",
        "login": {"user": "anna", "password": "hunter2", "token": None},
        "cards": [{"number": 4111, "until": "12/30"}],
        "list": [1, 2.5, None, True, {"secret": {"deep": 1}}],
    }
    before = json.dumps(value)
    assert Masking().json(value) == {
        "to": "anna@example.org",
        "login": {"user": "anna", "password": MASKED, "token": None},
        "cards": MASKED,
        "list": [1, 2.5, None, True, {"secret": MASKED}],
    }
    assert json.dumps(value) == before


def test_the_forms_of_the_codec() -> None:
    stored = {"$exact": {"$tuple": [{"$dict": [[1, "one"], ["password", "hunter2"]]}]}}
    assert Masking().json(stored) == {"$exact": {"$tuple": [{"$dict": [[1, "one"], ["password", MASKED]]}]}}


class Account(BaseModel):
    login: str
    door: Annotated[SecretStr, Field(alias="frontDoor")]
    others: "list[Account]" = []


@dataclasses.dataclass
class Parcel:
    label: str
    code: SecretBytes | None


class Order(TypedDict):
    parcels: dict[str, Parcel]


@pytest.mark.parametrize(
    ("annotation", "secrets"),
    [
        (str, Secrets()),
        (Any, Secrets()),
        ("a name that is not resolved", Secrets()),
        (SecretStr, Secrets(whole=True)),
        (SecretStr | None, Secrets(whole=True)),
        (list[SecretStr], Secrets(whole=True)),
        (dict[str, Annotated[SecretBytes, "seal"]], Secrets(whole=True)),
        (Account, Secrets(names=frozenset({"door", "frontDoor"}))),
        (list[Account] | None, Secrets(names=frozenset({"door", "frontDoor"}))),
        (Order, Secrets(names=frozenset({"code"}))),
    ],
)
def test_secrets_by_type(annotation: Any, secrets: Secrets) -> None:
    assert secrets_in(annotation) == secrets


T = TypeVar("T")
Door = NewType("Door", SecretStr)
Plain = namedtuple("Plain", ["user", "password"])  # noqa: PYI024 - without annotations


class Login(NamedTuple):
    user: str
    password: str
    door: SecretStr | None = None
    parcel: Parcel | None = None


class Hidden(BaseModel):
    pw: str = Field(default="", validation_alias="password")
    secret: str = Field(default="", alias="s")


@pydantic.dataclasses.dataclass
class Aliased:
    token: Annotated[str, Field(alias="t")]


@dataclasses.dataclass
class Boxed(Generic[T]):
    inside: T
    door: SecretStr


@pytest.mark.parametrize(
    ("annotation", "value", "masked"),
    [
        (Login, ["anna", "x"], ["anna", MASKED]),
        (Login, {"user": "anna", "password": "x", "door": "y"}, {"user": "anna", "password": MASKED, "door": MASKED}),
        (Login | None, ["anna", "x", "1"], ["anna", MASKED, MASKED]),
        (list[Login], [["anna", "x", None], ["otto", "y", "2"]], [["anna", MASKED, None], ["otto", MASKED, MASKED]]),
        (dict[str, Login], {"a": ["anna", "x"]}, {"a": ["anna", MASKED]}),
        (tuple[int, Login], [1, ["anna", "x"]], [1, ["anna", MASKED]]),
        (tuple[Login, ...], [["anna", "x"]], [["anna", MASKED]]),
        (tuple[Login, list[str]], [["a", "x"], ["b", "c"]], [["a", MASKED], ["b", "c"]]),
        (Login, {"$fields": {"$tuple": ["anna", "x"]}}, {"$fields": {"$tuple": ["anna", MASKED]}}),
        (Login, ["a", "b", None, {"label": "l", "code": "c"}], ["a", MASKED, None, {"label": "l", "code": MASKED}]),
        (Plain, ["anna", "x"], ["anna", MASKED]),
        (Annotated[Plain | int, "either"], ["anna", "x"], ["anna", MASKED]),
        (Hidden, {"pw": "x", "s": "y"}, {"pw": MASKED, "s": MASKED}),
        (list[Aliased], [{"t": "x"}, {"token": "y"}], [{"t": MASKED}, {"token": MASKED}]),
        (RootModel[SecretStr], "x", MASKED),
        (Door, "x", MASKED),
        (Secret[date], "2026-11-23", MASKED),
        (Boxed[int], {"inside": 1, "door": "x"}, {"inside": 1, "door": MASKED}),
        (Annotated[SecretStr, ["unhashable"]], "x", MASKED),
    ],
    ids=str,
)
def test_what_only_the_annotation_names(annotation: Any, value: Any, masked: Any) -> None:
    assert Masking().json(value, secrets_in(annotation)) == masked


def test_secrets_by_type_are_masked() -> None:
    value = [{"login": "anna", "frontDoor": "1234", "others": [{"login": "otto", "door": "5678"}]}]
    assert Masking().json(value, secrets_in(list[Account])) == [
        {"login": "anna", "frontDoor": MASKED, "others": [{"login": "otto", "door": MASKED}]}
    ]
    assert Masking().json("1234", secrets_in(SecretStr)) == MASKED
    assert Masking().json(None, secrets_in(SecretStr)) is None


M = MASKED
HIDDEN = {
    # By name, with what stands between it and the secret.
    "password=hunter2 user=anna": f"password={M} user=anna",
    "Authorization: Bearer abc.def": f"Authorization: {M}",
    "discard: it, secret = it": f"discard: it, secret = {M}",
    "pin: 1234": f"pin: {M}",
    "otps: 1234": f"otps: {M}",
    "card=4111111111111111": f"card={M}",
    "card: 4111 1111 1111 1111 was declined": f"card: {M} was declined",
    "cards: 4111 1111 1111 1111": f"cards: {M}",
    "card number: 4111-1111-1111-1111.": f"card number: {M}.",
    "iban=DE89 3704 0044 0532 0130 00 is wrong": f"iban={M} is wrong",
    "the api key: abc": f"the api key: {M}",
    "customer number: 5": f"customer number: {M}",
    "tokens=123456789": f"tokens={M}",
    "assert password == 'hunter2'": f"assert password == {M}",
    "password:\n  hunter2": f"password:\n  {M}",
    "password=abc token=def": f"password={M} token={M}",
    "a=b;token=c": f"a=b;token={M}",
    # Quoted, and quoted within what is quoted.
    "{'api_key': 'a b c', 'user': 'anna'}": f"{{'api_key': {M}, 'user': 'anna'}}",
    "{b'password': b'a b', 1: 2}": f"{{b'password': {M}, 1: 2}}",
    '{"token": "x\\"y", "n": 1}': f'{{"token": {M}, "n": 1}}',
    '{"body": "{\\"password\\": \\"a b\\"}"}': f'{{"body": "{{\\"password\\": {M}}}"}}',
    "KeyError: {'password' => 'a b'}": f"KeyError: {{'password' => {M}}}",
    # Several, or a value of some class.
    "tokens=['a', 'b'] left": f"tokens={M} left",
    "cards: [{'number': '4111', 'cvc': 1}, ']', 'x'] end": f"cards: {M} end",
    "credentials=Login('a b', x) end": f"credentials={M} end",
    "token=[left open\nand so on": f"token={M}\nand so on",
    "login(password=get(, and": f"login(password={M}, and",
    # Headers and commands.
    "Cookie: sid=abc; theme=dark\nHost: x": f"Cookie: {M}\nHost: x",
    "Set-Cookie: sid=a; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/": f"Set-Cookie: {M}",
    "{'Cookie': 'a=b; c=d', 'Host': 'x'}": f"{{'Cookie': {M}, 'Host': 'x'}}",
    'Authorization: Digest username="x", response="y"\nHost: x': f"Authorization: {M}\nHost: x",
    "[(b'authorization', b'Bearer abc'), (b'host', b'x')]": f"[(b'authorization', {M}), (b'host', b'x')]",
    "Command '['psql', '--password', 'a b', '-u']'": f"Command '['psql', '--password', {M}, '-u']'",
    "psql --password hunter2 -u x": f"psql --password {M} -u x",
    # Without any name.
    "sent Bearer abcdefghijkl to them": f"sent Bearer {M} to them",
    "sent Basic YW5uYTpodW50ZXIy to them": f"sent Basic {M} to them",
    "postgresql://anna:hunter2@db/app refused": f"postgresql://anna:{M}@db/app refused",
    "postgresql://anna:h@nter2@db/app": f"postgresql://anna:{M}@db/app",
    "redis://:hunter2@db": f"redis://:{M}@db",
    "cut: postgresql://anna:hun": f"cut: postgresql://anna:{M}",
    "https://example.org/?token=abc&n=1": f"https://example.org/?token={M}&n=1",
    "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nrest": f"{M}\nrest",
}
SHOWN = [
    "nothing to hide: 1 < 2",
    "discard: it",
    "author: Bob, keyboard: qwerty, spinning: 4, accessory=1, authored=2",
    "tokens: 3 of 10 done",
    "Tokens: 3/10, cards=2, prompt_tokens: 1,024; max_tokens=128000 token_count=5",
    "secrets: 2 rotated",
    "the password must be longer than 8",
    "cookie expired, card declined",
    "shop.TokenError: it has expired",
    "CardDeclined: no money, AuthError: nobody, token_expired=true",
    "api_key=None, secret: null",
    "KeyError: 'password'",
    "bearer token missing, Bearer authentication failed",
    "a basic configuration",
    "see http://localhost:8080/x and http://localhost:8000.",
    "at http://[::1]:80 and http://h:80",
    "use --verbose now",
    "10:45:00 done: 3",
]


@pytest.mark.parametrize(("text", "shown"), HIDDEN.items())
def test_text(text: str, shown: str) -> None:
    masking = Masking(["customer_number"])
    assert masking.text(text) == shown
    assert masking.text(shown) == shown, "what is masked already stays as it is"
    assert masking.json([{"note": text}]) == [{"note": shown}], "also where it is an ordinary value"


@pytest.mark.parametrize("text", SHOWN)
def test_text_without_secrets(text: str) -> None:
    assert Masking().text(text) == text


def test_numbers_of_something_are_no_secrets() -> None:
    value = {"max_tokens": 1000, "cards": 2.5, "token_count": 3, "pins": 1234, "tokens": True, "card": 5}
    assert Masking().json(value) == {**value, "pins": MASKED, "tokens": MASKED, "card": MASKED}
    assert Masking(["tokens"]).json({"tokens": 5}) == {"tokens": MASKED}, "if that was asked for"


REPEATED = [
    *(
        ("", part)
        for part in ("a", "a.", "a=", "=", "--a ", "token", "token=", "token=[\n", "token='", "token=f(", "('a',")
    ),
    *(("", part) for part in ("://", "://a:b@", "bearer ", "api key ", "-----BEGIN PRIVATE KEY-----", "a token: b, ")),
    *(("token='", part) for part in ("\\'", '"', "a")),
    *(("token=[", part) for part in ("(", "'", "'\\")),
    *(('token=\\"', part) for part in ("\\", "a")),
    *(("token=", part) for part in ("111 ", "de89 ", " ", "[", "None")),
    *(("://a:", part) for part in ("b", "1", ":", "!")),
    *(("cookie: a=", "b"), ("basic ", "a"), ("bearer", " ")),
]


@pytest.mark.parametrize(("before", "part"), REPEATED)
def test_the_time_that_it_takes_goes_by_the_length(before: str, part: str) -> None:
    """A small part of a second for each; to go back at every letter would take many minutes."""
    masking, began = Masking(), time.monotonic()
    masking.text(before + part * (256 * 1024 // len(part)))
    assert time.monotonic() - began < 30


def test_long_text_is_no_trouble() -> None:
    text = "a" * 200_000 + "=" * 1000 + " password=" + "x" * 1000
    assert Masking().text(text).endswith(f"password={MASKED}")


def test_what_is_masked_already_stays_as_it_is() -> None:
    masking = Masking()
    text = masking.text("token=hunter2, https://ada:hunter2@host, Authorization: Bearer abcdefghij")
    assert "hunter2" not in text
    assert masking.text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "password=SECRET and more",
        "{'password': 'SECRET', 'user': 'anna'}",
        '{"body": "{\\"password\\": \\"SECRET\\"}"}',
        "tokens=['a', 'SECRET'] left",
        "credentials=Login('SECRET', x)",
        "Cookie: a=SECRET; b=c",
        "(b'authorization', b'Bearer SECRET')",
        "--password SECRET -u",
        "postgresql://anna:SECRET@db/app",
        "https://example.org/?n=1&token=SECRET&n=2",
        "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----",
    ],
)
def test_wherever_a_text_is_cut_no_part_of_a_secret_is_shown(text: str) -> None:
    whole = text.replace("SECRET", "hunter2-and-more")
    for end in range(len(whole) + 1):
        assert "hun" not in Masking().text(whole[:end])
        assert "hun" not in Masking().text(f"{whole[:end]}…")


def test_what_is_nested_as_deeply_as_can_be_stored() -> None:
    def nested(depth: int) -> Any:
        return {"a": nested(depth - 1)} if depth else "password=x"

    def in_a_server(frames: int) -> Any:
        return in_a_server(frames - 1) if frames else Masking().json(nested(200))

    assert str(in_a_server(200)).count(MASKED) == 1
