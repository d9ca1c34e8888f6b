"""Where a server is, as far as its command line tells."""

import pytest

from postlude.dashboard.inviting import address, invitation


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/venv/bin/uvicorn main:app", "http://127.0.0.1:8000"),
        ("/venv/lib/site-packages/uvicorn/__main__.py main:app --port 9000", "http://127.0.0.1:9000"),
        ("uvicorn main:app --host=0.0.0.0 --port=81", "http://127.0.0.1:81"),
        ("fastapi dev main.py --host localhost", "http://localhost:8000"),
        ("uvicorn main:app --uds /run/app.sock", ""),
        ("gunicorn main:app -b :80", ""),
        ("main.py", ""),
    ],
)
def test_the_address_of_a_server(command: str, expected: str) -> None:
    assert address(command.split()) == expected


def test_nobody_is_told_a_wrong_address_where_there_is_no_command() -> None:
    assert address([]) == ""


def test_the_link_on_the_terminal_leads_to_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["uvicorn", "main:app"])
    assert "http://127.0.0.1:8000/postlude/sign-in?token=abc\n" in invitation("/postlude", "abc")
