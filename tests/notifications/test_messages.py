"""What the mail service takes, what it refuses and why, and the message that becomes of it."""

import base64
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from notifications.messages import Mail, compose
from notifications.settings import Settings
from postlude.ids import new_job_id

JOB = UUID("01a206cb-a456-7bba-8d70-ed29207ec7c9")


def mail(**fields: object) -> Mail:
    return Mail.model_validate({"to": "ada@example.com", "template": "welcome", "values": {"message": "Hi."}} | fields)


def test_a_message_has_text_and_html_and_attachments() -> None:
    content = b"%PDF-1.7 \x00\xff"
    asked = mail(
        name="Ada Lövelace",
        cc=["grace@example.com"],
        values={"message": "1 < 2 & ü"},
        attachments=[{"name": "Räksmörgås.pdf", "type": "application/pdf", "content": base64.b64encode(content)}],
    )
    found = message_from_bytes(compose(asked, JOB).as_bytes(), policy=default)
    assert dict(found.items()) == {
        "From": "Notifications <notifications@example.com>",
        "To": "Ada Lövelace <ada@example.com>",
        "Cc": "grace@example.com",
        "Subject": "Welcome, Ada Lövelace",
        "Date": "Mon, 23 Nov 2026 05:05:38 +0000",
        "Message-ID": f"<{JOB}@example.com>",
        "MIME-Version": "1.0",
        "Content-Type": found["Content-Type"],
    }
    text, page = found.get_body(["plain"]), found.get_body(["html"])
    assert text is not None
    assert page is not None
    assert "1 < 2 & ü" in text.get_content().splitlines()
    assert "<p>1 &lt; 2 &amp; ü</p>" in page.get_content()
    (attached,) = found.iter_attachments()
    assert attached.get_filename() == "Räksmörgås.pdf"
    assert attached.get_content_type() == "application/pdf"
    assert attached.get_content() == content


def test_a_message_goes_through_servers_that_take_seven_bits() -> None:
    assert compose(mail(name="Ödön", values={"message": "ü" * 2000}), JOB).as_bytes().isascii()


def test_its_date_is_that_of_the_job() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert before <= compose(mail(), new_job_id())["Date"].datetime <= datetime.now(UTC)


@given(st.text(), st.text())
def test_no_value_adds_a_header(name: str, value: str) -> None:
    """Neither where it is refused nor where it is taken."""
    try:
        message = compose(mail(name=name, template="receipt", values={"order": value, "total": "1"}), JOB)
    except ValueError:
        return
    found = message_from_bytes(message.as_bytes(), policy=default)
    assert sorted(found.keys()) == sorted(
        ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"]
    )
    assert [each.addr_spec for each in found["To"].addresses] == ["ada@example.com"]


@pytest.mark.parametrize("text", ["x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com", "x\x0bBcc:", "x\u2028Bcc:"])
def test_line_breaks_are_refused_or_mended(text: str) -> None:
    for fields in ({"name": text}, {"period": text}, {"attachments": [{"name": text, "content": ""}]}):
        with pytest.raises(ValidationError, match="line breaks and control characters are not allowed here"):
            mail(**fields)
    message = compose(mail(template="receipt", values={"order": text, "total": "1"}), JOB)
    assert message["Subject"] == f"Your order {' '.join(text.split())}"


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("ada@bücher.de", "ada@xn--bcher-kva.de"),
        ("ada@EXAMPLE.com", "ada@example.com"),
        ("Ada.B+tag@example.com", "Ada.B+tag@example.com"),
        ("ada@例え.jp", "ada@xn--r8jz45g.jp"),
    ],
)
def test_domains_of_any_script_are_sent_in_ascii(address: str, wire: str) -> None:
    assert mail(to=address).to == wire
    assert mail(to=wire).to == wire


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("adä@example.com", "Internationalized characters before the @-sign are not supported"),
        ("ada", "must have an @-sign"),
        ("ada@localhost", "not valid"),
        ("ada@example.com\r\nBcc: eve@example.com", "contains invalid characters"),
        ("Ada <ada@example.com>", "display name"),
        ("a@b@example.com", "contains invalid characters"),
        ("x" * 65 + "@example.com", "long"),
    ],
)
def test_an_address_that_is_none_is_refused_with_the_reason(address: str, why: str) -> None:
    for fields in ({"to": address}, {"cc": [address]}):
        with pytest.raises(ValidationError, match=why):
            mail(**fields)


def test_an_unknown_template_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match="there is no template 'welcom': expected one of receipt, welcome"):
        mail(template="welcom")


@pytest.mark.parametrize(
    ("attachment", "why"),
    [
        ({"content": "not encoded"}, "Value error"),
        ({"content": "YQ=="[:3]}, "Incorrect padding"),
        ({"content": 5}, "valid bytes"),
        ({"content": "YQ==", "type": "message/rfc822"}, "type"),
        ({"content": "YQ==", "type": "multipart/mixed"}, "type"),
    ],
)
def test_an_attachment_that_would_arrive_as_something_else_is_refused(attachment: dict[str, object], why: str) -> None:
    assert mail(attachments=[{"name": "a", "content": "Y\nQ=="}]).attachments[0].content == b"a"
    with pytest.raises(ValidationError, match=why):
        mail(attachments=[{"name": "a"} | attachment])


def test_a_value_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="template 'welcome': 'message' is undefined"):
        compose(mail(values={}), JOB)


def test_a_mail_comes_back_from_its_json_as_it_was() -> None:
    asked = mail(attachments=[{"name": "a", "content": base64.b64encode(b"\x00\xff")}], period="2026-06")
    assert Mail.model_validate_json(asked.model_dump_json()) == asked


def test_settings_that_make_no_sense_are_named_all_at_once() -> None:
    environment = {"MAIL_URL": "smpt://host", "MAIL_INTERRUPTED": "maybe", "MAIL_FROM": "nobody"}
    with pytest.raises(ValueError, match=r"MAIL_URL(?s:.)*MAIL_API_KEY(?s:.)*MAIL_INTERRUPTED(?s:.)*MAIL_FROM"):
        Settings.of(environment)


def test_the_domain_of_the_sender_may_be_of_any_script() -> None:
    sender = Settings.of({"MAIL_FROM": "Bücher <laden@bücher.de>"}).sender
    assert (sender.display_name, sender.addr_spec) == ("Bücher", "laden@xn--bcher-kva.de")


def test_a_service_that_mails_the_world_wants_a_key() -> None:
    with pytest.raises(ValueError, match="MAIL_API_KEY: mail goes to the world"):
        Settings.of({"MAIL_URL": "smtp://mail.example.com"})
    assert Settings.of({"MAIL_URL": "smtp://mail.example.com", "MAIL_API_KEY": "k"}).url.hostname == "mail.example.com"
