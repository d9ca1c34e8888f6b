"""`postlude demo`: a server is killed in the middle of its background tasks."""
