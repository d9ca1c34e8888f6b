"""What is secret does not leave the reader."""

import dataclasses
import json
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel, Field, SecretBytes, SecretStr

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


def test_secrets_by_type_are_masked() -> None:
    value = [{"login": "anna", "frontDoor": "1234", "others": [{"login": "otto", "door": "5678"}]}]
    assert Masking().json(value, secrets_in(list[Account])) == [
        {"login": "anna", "frontDoor": MASKED, "others": [{"login": "otto", "door": MASKED}]}
    ]
    assert Masking().json("1234", secrets_in(SecretStr)) == MASKED
    assert Masking().json(None, secrets_in(SecretStr)) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing to hide: 1 < 2", "nothing to hide: 1 < 2"),
        ("password=hunter2 user=anna", f"password={MASKED} user=anna"),
        ("{'api_key': 'a b c', 'user': 'anna'}", f"{{'api_key': {MASKED}, 'user': 'anna'}}"),
        ('{"token": "x\\"y", "n": 1}', f'{{"token": {MASKED}, "n": 1}}'),
        ("Authorization: Bearer abc.def", f"Authorization: {MASKED}"),
        ("sent Bearer abcdefghijkl to them", f"sent Bearer {MASKED} to them"),
        ("postgresql://anna:hunter2@db/app refused", f"postgresql://anna:{MASKED}@db/app refused"),
        ("https://example.org/?token=abc&n=1", f"https://example.org/?token={MASKED}&n=1"),
        ("discard: it", "discard: it"),
    ],
)
def test_text(text: str, shown: str) -> None:
    assert Masking().text(text) == shown


def test_long_text_is_no_trouble() -> None:
    text = "a" * 200_000 + "=" * 1000 + " password=" + "x" * 1000
    assert Masking().text(text).endswith(f"password={MASKED}")


def test_what_is_masked_already_stays_as_it_is() -> None:
    masking = Masking()
    text = masking.text("token=hunter2, https://ada:hunter2@host, Authorization: Bearer abcdefghij")
    assert "hunter2" not in text
    assert masking.text(text) == text
