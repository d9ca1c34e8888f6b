"""What a task returned, as the one JSON text that its job keeps, and back."""

from __future__ import annotations

import inspect
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from postlude.codec import tags
from postlude.codec.forms import DoesNotFit, Form
from postlude.codec.refusals import Refusal, parts_of
from postlude.codec.signatures import Annotations, inspected

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_RESULT: Final = 262_144
"""How many bytes of JSON the result of one job may take."""

SMALL: Final = 4_096
"""So many bytes of it are written in a few milliseconds, which an event loop can do without."""

_UNSTORED: Final = "$unstored"
# No value is ever written like this: what looks like a tag is written under another tag.
_LONGEST_REASON: Final = 1_000


class Results:
    """How what one function returns is written down and read back: by its return annotation.

    Nothing about the function is looked at before its first result that is not None.
    """

    __slots__ = ("__dict__", "_function")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @cached_property
    def _form(self) -> Form:
        annotation: Any = Any
        unresolved = ""
        # What a class returns is an instance, and its signature tells of `__init__`.
        if not isinstance(self._function, type):
            returned = inspected(self._function).return_annotation
            if returned is not inspect.Signature.empty:
                annotation, unresolved = Annotations(self._function).resolved(returned)
        return Form(annotation, unresolved=unresolved)

    def encode(self, value: object) -> str | None:
        """The text that is stored, at most `MAX_RESULT` bytes: of the value, or of why it is not stored. Never raises.

        None for None, which needs no text. A value whose parts alone make it too large is counted up to there, and not
        written.
        """
        if value is None:
            return None
        try:
            if _least_bytes(value, MAX_RESULT) > MAX_RESULT:
                return unstored(f"it takes more than the {MAX_RESULT:,} bytes of JSON that a job may keep")
            form = self._form
            written = form.write(value).json
            if len(written) > MAX_RESULT:
                return unstored(f"it takes {len(written):,} bytes as JSON, and a job may keep {MAX_RESULT:,}")
            mismatch = form.mismatch(value) if written.startswith(b'{"$exact":') else None
            return written.decode() if mismatch is None else unstored(mismatch)
        except Refusal as refusal:
            return unstored(refusal.reason)
        except BaseException as error:  # noqa: BLE001 - the task has succeeded, whatever its result does when it is read
            return unstored(f"writing it down raised {type(error).__name__}")

    @staticmethod
    def is_small(value: object) -> bool:
        """Whether `encode` takes no longer than an event loop can wait. Looks at no more than it counts."""
        return _least_bytes(value, SMALL) <= SMALL

    def decode(self, text: str) -> Any:  # noqa: ANN401 - a value of the user's type
        """The value that `encode` wrote as `text`.

        Raises:
            DoesNotFit: the annotation does not take it, or no longer does.
        """
        return self._form.read(from_json(text))


def unstored(reason: str) -> str:
    """The text of a result that is not stored."""
    return json.dumps({_UNSTORED: reason[:_LONGEST_REASON]})


def reason_unstored(text: str) -> str | None:
    """Why the result is not stored; None if it is."""
    # Looked for in the text first: it may be long, and then it has another beginning.
    if not text.startswith(f'{{"{_UNSTORED}":'):
        return None
    reason: str = json.loads(text)[_UNSTORED]
    return reason


def decode_plainly(text: str) -> Any:  # noqa: ANN401 - JSON, or standard values
    """What `Results.encode` wrote, where the annotation is not known.

    Raises:
        DoesNotFit: it was written in a way that this release does not know.
    """
    stored = from_json(text)
    if tags.is_tagged(stored):
        ((tag, content),) = stored.items()
        if tag in {"$exact", "$fields"}:
            try:
                return tags.read(content)
            except ValueError as error:
                raise DoesNotFit(str(error)) from error
    return stored


def _least_bytes(value: object, most: int) -> int:
    """How many bytes of JSON the value takes at the least, counted no further than just beyond `most`."""
    found, waiting = 0, [value]
    while waiting and found <= most:
        part = waiting.pop()
        if isinstance(part, str | bytes | bytearray):
            found += len(part)
        elif isinstance(part, int):
            found += part.bit_length() >> 2  # a digit has less than four bits
        elif isinstance(part, list | tuple | set | frozenset | dict) and 2 * len(part) > most:
            return 2 * len(part)
        else:
            parts = parts_of(part)
            found += 2 * len(parts)  # each takes a character, and a comma or a bracket
            waiting.extend(parts)
    return found
