"""Where attempts run: the protocol, and one executor for each kind of place.

Each module is imported by itself: who declares tasks needs the names of the executors, and none of them.
"""

from postlude.executors.registered import Processes

__all__ = ["Processes"]
