"""Say in one line that a port cannot be used, before a server starts and fails on it: check_port.py HOST PORT."""

import socket
import sys


def complaint(host: str, port: str) -> str | None:
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        return f"PORT must be a number from 1 to 65535, but it is {port!r}: make run PORT=8001"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
            probe.listen()
        except OSError as error:
            other = int(port) % 65535 + 1
            return f"Port {port} on {host} cannot be used ({error.strerror}). Choose another: make run PORT={other}"
    return None


if __name__ == "__main__":
    sys.exit(complaint(sys.argv[1], sys.argv[2]))
