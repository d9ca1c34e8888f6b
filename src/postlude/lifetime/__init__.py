"""One process, from its opening to its end: what it has open, what it says at its start, how it is told to end."""
