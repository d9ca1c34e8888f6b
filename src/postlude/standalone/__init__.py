"""A worker that has a process to itself: it serves no requests, and runs the application's jobs."""
