"""A module that nothing imports but `Postlude(tasks=[...])`."""

from postlude import schedule


@schedule("0 3 * * *", timezone="Europe/Berlin", name="nightly")
def clean_up() -> None: ...
