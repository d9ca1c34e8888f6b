"""Say clearly that this Python is too old. Runs on any Python, so it uses nothing new."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - to find an older one is what this file is for
    found = ".".join(str(part) for part in sys.version_info[:3])
    message = "Postlude needs Python 3.11 or newer, but %s is %s. Name a newer one: make PYTHON=python3.12 ..."
    sys.exit(message % (sys.executable, found))
