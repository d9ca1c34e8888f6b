"""The same roles played by Postlude and by its peers: each a program of its own, in the environment that has it."""
