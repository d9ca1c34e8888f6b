"""What the service is told by its environment; each problem is named at the start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.utils import parseaddr
from functools import cache
from urllib.parse import SplitResult, urlsplit

from email_validator import EmailNotValidError, validate_email

SCHEMES = ("file", "smtp", "smtps", "http", "https")


@dataclass(frozen=True)
class Settings:
    """Each is a variable of the environment, in capitals."""

    mail_url: str = "file:///outbox"
    """`file:///outbox`, a folder below the working directory (`file:////srv/outbox`: anywhere); `smtp://user:password@host:587`,
    with STARTTLS, which a password insists on; `smtps://`, TLS from the first byte; or `https://`, a JSON mail API."""
    mail_token: str = ""
    """What the mail API knows us by, as a bearer token."""
    mail_from: str = "Notifications <notifications@example.com>"
    mail_api_key: str = ""
    """What callers have to show as `X-API-Key`; not needed as long as mail only goes into a folder."""
    mail_domain_rate: str = "60/min"
    """So many mails may start for the recipients of one domain."""
    mail_recipient_rate: str = "10/h"
    """So many for one recipient; not for mail that only goes into a folder."""
    mail_interrupted: str = "rerun"
    """A mail of which nobody knows whether the server has taken it: `rerun` sends it again, `hold` asks a person."""

    def __post_init__(self) -> None:
        problems = []
        if self.url.scheme not in SCHEMES:
            problems.append(f"MAIL_URL: expected {', '.join(f'{each}://' for each in SCHEMES)}, got {self.mail_url!r}")
        if not self.into_folder and not self.mail_api_key:
            problems.append(
                "MAIL_API_KEY: mail goes to the world, so callers have to show a key: set a long random one"
            )
        if self.mail_interrupted not in {"rerun", "hold"}:
            problems.append(f"MAIL_INTERRUPTED: expected 'rerun' or 'hold', got {self.mail_interrupted!r}")
        try:
            _ = self.sender
        except EmailNotValidError as error:
            problems.append(
                f"MAIL_FROM: expected an address as in 'Shop <shop@example.com>', got {self.mail_from!r}: {error}"
            )
        if problems:
            raise ValueError("\n".join(problems))

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Settings":
        return cls(**{name: environment[name.upper()] for name in cls.__annotations__ if name.upper() in environment})

    @property
    def url(self) -> SplitResult:
        return urlsplit(self.mail_url)

    @property
    def sender(self) -> Address:
        name, address = parseaddr(self.mail_from)
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False)
        return Address(name, addr_spec=found.ascii_email or found.normalized)

    @property
    def into_folder(self) -> bool:
        return self.url.scheme == "file"


@cache
def settings() -> Settings:
    return Settings.of(os.environ)
