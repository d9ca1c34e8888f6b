"""Analytics after a request: ask a question of a table, get the answer as a page, JSON or CSV."""
