"""Ids of parametrised tests that every process of one run gives them alike."""

import re
from typing import Final

_BY_CHANCE: Final = re.compile(r" at 0x[0-9a-f]+|UUID\('[0-9a-f]{8}-[0-9a-f-]+'\)")
"""Addresses, and the ids that a default makes anew in each process."""


def lasting(value: object) -> str:
    """What `ascii` says of a value, without what another process would say otherwise."""
    return _BY_CHANCE.sub("", ascii(value))
