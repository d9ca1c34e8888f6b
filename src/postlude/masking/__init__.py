"""What must not leave the reader: what is secret by its name, or by its type, is replaced in JSON and in text.

Used wherever arguments, results, failures and log lines are shown: in pages, answers, commands, logs and exports alike.
"""

from postlude.masking.annotations import NO_SECRETS, Secrets, secrets_in
from postlude.masking.names import NAMES
from postlude.masking.repeats import Repeats
from postlude.masking.texts import MASKED
from postlude.masking.values import Masking

__all__ = ["MASKED", "NAMES", "NO_SECRETS", "Masking", "Repeats", "Secrets", "secrets_in"]
