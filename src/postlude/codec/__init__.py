"""What is stored of a call: its arguments as JSON, driven by the function's own annotations.

A call is storable only if reading it back gives equal values of the same types. Never pickle.
"""

from postlude.codec.arguments import MAX_ARGUMENTS, Codec, Encoded, check_callable

__all__ = ["MAX_ARGUMENTS", "Codec", "Encoded", "check_callable"]
