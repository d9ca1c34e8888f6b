"""What pages, commands and answers show: read models made of what the store has, with everything secret masked."""

from postlude.views.jobs import Argument, Counts, JobPage, JobRow, JobView, Line, Neighbour, Span
from postlude.views.needs import Need, NeedKind
from postlude.views.overview import Overview, Percentiles, Point, Rates
from postlude.views.places import LimitView, QueuesView, QueueView, ScheduleView, TaskView, WorkersView, WorkerView
from postlude.views.views import Views

__all__ = [
    "Argument",
    "Counts",
    "JobPage",
    "JobRow",
    "JobView",
    "LimitView",
    "Line",
    "Need",
    "NeedKind",
    "Neighbour",
    "Overview",
    "Percentiles",
    "Point",
    "QueueView",
    "QueuesView",
    "Rates",
    "ScheduleView",
    "Span",
    "TaskView",
    "Views",
    "WorkerView",
    "WorkersView",
]
