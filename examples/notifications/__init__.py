"""A service that sends mail after the request, and survives being killed while it does."""
