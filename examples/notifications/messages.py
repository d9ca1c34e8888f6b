"""What is asked for, checked when the request comes in, and the message that becomes of it when the task runs."""

from base64 import b64decode
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Annotated
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, select_autoescape
from pydantic import AfterValidator, Base64Bytes, BaseModel, BeforeValidator, ConfigDict, Field

from notifications.settings import settings

FOLDER = Path(__file__).parent / "templates"
TEMPLATES = Environment(
    loader=FileSystemLoader(FOLDER), autoescape=select_autoescape(["html"]), undefined=StrictUndefined
)
MAILS = sorted(each.parent.name for each in FOLDER.glob("*/subject.txt"))
SEVEN_BITS = SMTP.clone(cte_type="7bit")
"""Not every server on the way takes eight."""
KINDS = "application|audio|font|image|model|text|video"
"""Of attachments. Not `multipart` and `message`: what is in those is no bytes, and they may not be in base64."""


def deliverable(address: str) -> str:
    """As it goes over the wire: a domain of any script in ASCII. Before the @ it is refused: few servers take that."""
    try:
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    return found.ascii_email or found.normalized


def known(template: str) -> str:
    if template not in MAILS:
        message = f"there is no template {template!r}: expected one of {', '.join(MAILS)}"
        raise ValueError(message)
    return template


def of_one_line(text: str) -> str:
    """What goes into a header; so nobody adds another one."""
    if not text.isprintable():
        message = "line breaks and control characters are not allowed here"
        raise ValueError(message)
    return text


def encoded(content: object) -> object:
    """Base64 passes over what is none: what was sent as it is would arrive as something else."""
    if isinstance(content, str):
        b64decode("".join(content.split()), validate=True)
    return content


Recipient = Annotated[str, AfterValidator(deliverable)]
Line = Annotated[str, AfterValidator(of_one_line)]


class Attachment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[Line, Field(min_length=1, max_length=200)]
    type: Annotated[str, Field(pattern=rf"^({KINDS})/[a-z0-9][a-z0-9.+-]*$", max_length=100)] = (
        "application/octet-stream"
    )
    content: Annotated[Base64Bytes, BeforeValidator(encoded)]


class Mail(BaseModel):
    """One message to one person, and copies of it to others."""

    model_config = ConfigDict(extra="forbid")

    to: Recipient
    name: Annotated[Line, Field(max_length=200)] = ""
    cc: Annotated[list[Recipient], Field(max_length=20)] = []
    template: Annotated[str, AfterValidator(known)]
    values: Annotated[dict[str, str], Field(description="What the template asks for, besides `name`.")] = {}
    attachments: Annotated[list[Attachment], Field(max_length=10)] = []
    period: Annotated[Line, Field(min_length=1, max_length=100)] | None = None
    """Text such as `2026-06` or `order-17`, in which this template goes to this recipient once; None: always."""

    @property
    def recipients(self) -> list[str]:
        return list(dict.fromkeys([self.to, *self.cc]))


def compose(mail: Mail, job_id: UUID) -> EmailMessage:
    """The message, which is the same however often the job runs: its id and its date are those of the job.

    Raises:
        ValueError: a value that the template asks for is missing.
    """
    values = {**mail.values, "name": mail.name}
    try:
        subject, text, page = (
            TEMPLATES.get_template(f"{mail.template}/{part}").render(values)
            for part in ("subject.txt", "text.txt", "page.html")
        )
    except TemplateError as error:
        problem = f"template {mail.template!r}: {error}"
        raise ValueError(problem) from None
    message = EmailMessage(policy=SEVEN_BITS)
    message["From"] = settings().sender
    message["To"] = Address(mail.name, addr_spec=mail.to)
    if mail.cc:
        message["Cc"] = [Address(addr_spec=each) for each in mail.cc]
    message["Subject"] = " ".join(subject.split())  # whatever a value had, it is one line
    message["Date"] = datetime.fromtimestamp((job_id.int >> 80) / 1000, UTC)  # a UUIDv7 begins with its moment
    message["Message-ID"] = f"<{job_id}@{settings().sender.domain}>"
    message.set_content(text)
    message.add_alternative(page, subtype="html")
    for each in mail.attachments:
        maintype, _, subtype = each.type.partition("/")
        message.add_attachment(each.content, maintype=maintype, subtype=subtype, filename=each.name)
    return message
