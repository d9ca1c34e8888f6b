"""All that runs jobs, by one name: `from postlude import running` where it is needed, and not with `import postlude`.

It is more than a third of all that would be imported, and a module of tasks, or a script that looks at jobs, needs none
of it before a store is opened. In a server that is the start, where nobody waits for an answer yet.
"""

from __future__ import annotations

from postlude.elsewhere import nowhere, place_in
from postlude.enlistment import Enlistment
from postlude.executors.inside import refuse_to_open, refuse_to_start
from postlude.introduction import Introduced, introduce, introduce_another, server_name
from postlude.order import run_without_store
from postlude.places import Places
from postlude.process import Process
from postlude.recording import standing_of
from postlude.supervisor import Supervisor

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
