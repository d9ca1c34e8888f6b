"""``make run`` on a port that cannot be used ends in one clear line."""

import socket

import pytest

from scripts.check_port import complaint


def test_a_free_port_is_fine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    assert complaint("127.0.0.1", port) is None


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = complaint("127.0.0.1", str(port))
    assert said is not None
    assert said.startswith(f"Port {port} on 127.0.0.1 cannot be used (")
    assert f"make run PORT={port % 65535 + 1}" in said


@pytest.mark.parametrize("port", ["", "http", "0", "65536", "-1"])
def test_what_is_no_port_is_shown(port: str) -> None:
    assert complaint("127.0.0.1", port) == (
        f"PORT must be a number from 1 to 65535, but it is {port!r}: make run PORT=8001"
    )
