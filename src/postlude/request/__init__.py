"""One request, from the first `add_task` to the moment when its calls run: what the hooks into FastAPI keep of it."""
