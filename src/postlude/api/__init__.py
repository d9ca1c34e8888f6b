"""What the callers of an application see of their jobs: over HTTP, as events, and in the answer that accepts one."""

from postlude.accepting import accepted
from postlude.api.access import RequestedJob, Visitor

__all__ = ["RequestedJob", "Visitor", "accepted"]
