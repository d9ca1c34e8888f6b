"""Log records of a child: handed over as plain data, and handled where the application has set up its logging."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_formatter = logging.Formatter()


def levels() -> dict[str, int]:
    """The level of each logger that has one of its own; that of the root logger under the empty name."""
    own = {
        name: logger.level
        for name, logger in logging.root.manager.loggerDict.copy().items()
        if isinstance(logger, logging.Logger) and logger.level
    }
    return {"": logging.root.level, **own}


def set_levels(given: Mapping[str, int]) -> None:
    """Give the loggers of this process the levels that `levels` gave elsewhere."""
    for name, level in given.items():
        logging.getLogger(name or None).setLevel(level)


def packed(record: logging.LogRecord) -> dict[str, Any]:
    """What is in a record, `extra` too, without what only its own process can read."""
    data = {**vars(record), "msg": record.getMessage(), "args": None, "exc_info": None}
    if record.exc_info and not record.exc_text:
        data["exc_text"] = _formatter.formatException(record.exc_info)
    return data


def handle(data: Mapping[str, Any]) -> None:
    """Handle a record that `packed` took apart, as if it had been logged here."""
    record = logging.makeLogRecord(data)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        try:
            logger.handle(record)
        except Exception:  # noqa: BLE001 - a filter of the user's: what the task comes to does not depend on it
            traceback.print_exc()


def forward_to(handler: logging.Handler) -> None:
    """Have this handler, and no other, hear everything: those that modules have set up are heard elsewhere."""
    for logger in logging.root.manager.loggerDict.copy().values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    logging.root.handlers[:] = [handler]
