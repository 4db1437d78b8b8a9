"""Other programs on the same graphs, each in an environment of its own."""
