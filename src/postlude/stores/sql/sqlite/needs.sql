SELECT max(needs) FROM migrations
