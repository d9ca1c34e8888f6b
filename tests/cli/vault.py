"""An application whose tasks are given secrets."""

from typing import Annotated

from fastapi import FastAPI
from pydantic import AfterValidator, BaseModel, Field, SecretStr

from postlude import Postlude, progress, task

app = FastAPI()
durable = Postlude(app, mask=["customer_number"])


class Account(BaseModel):
    login: str
    door: SecretStr
    age: int = 0


def _long(value: str) -> str:
    if len(value) < 40:
        message = f"{value} is too short"
        raise ValueError(message)
    return value


@task(name="vault.enter")
async def enter(
    account: Account,
    pin: int = 4711,
    token: Annotated[str, AfterValidator(_long)] = "x" * 40,
    customer_number: int = 12345678,
    url: Annotated[str, Field(max_length=10)] = "https://anna:hunter2@host",
    codes: list[SecretStr] | None = None,
    count: int = 3,
) -> None:
    progress(1, 2, f"as {account.door.get_secret_value()}")
