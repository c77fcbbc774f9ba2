"""Ways out: each module knows one kind of carrier, and everything that is peculiar to it."""
