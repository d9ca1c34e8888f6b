"""What tasks of a test note, and what holds them up. The fixture `from_nothing` has it as new."""

import threading

ran: list[str] = []
started, let_go = threading.Event(), threading.Event()
