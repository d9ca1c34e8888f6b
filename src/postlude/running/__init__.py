"""The calls that run in one process: each gets a slot, is looked after while it runs, and is settled."""
