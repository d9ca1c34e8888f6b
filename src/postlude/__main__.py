"""`python -m postlude`: the command `postlude`, where its script is not on the path."""

from postlude.cli import main

main()
