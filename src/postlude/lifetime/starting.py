"""What runs jobs, by one name: `from postlude.lifetime import starting` where it is wanted, and not at the top.

It is more than a third of all that would be imported, and a module of tasks, or a script that looks at jobs, needs none
of it before a store is opened. In a server that is the start, where nobody waits for an answer yet.
"""

from __future__ import annotations

from postlude.executors.inside import refuse_to_open, refuse_to_start
from postlude.lifetime.introduction import Introduced, introduce, introduce_another, server_name
from postlude.lifetime.process import Process
from postlude.lifetime.supervisor import Supervisor
from postlude.running.elsewhere import nowhere, place_in
from postlude.running.order import run_without_store
from postlude.running.places import Places
from postlude.services.enlistment import Enlistment
from postlude.services.recording import standing_of

__all__ = [
    "Enlistment",
    "Introduced",
    "Places",
    "Process",
    "Supervisor",
    "introduce",
    "introduce_another",
    "nowhere",
    "place_in",
    "refuse_to_open",
    "refuse_to_start",
    "run_without_store",
    "server_name",
    "standing_of",
]
