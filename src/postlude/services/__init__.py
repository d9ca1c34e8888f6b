"""What goes on beside the jobs: loops that are woken, do one round, and wait for the next."""
