"""`Postlude(app, mode="observe")`: FastAPI runs its background tasks as ever, and what becomes of them is recorded."""
