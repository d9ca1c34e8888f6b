"""What stands in the way of an application's background tasks, found before it starts: `postlude check`."""
