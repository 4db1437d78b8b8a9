"""What we measure ourselves against: graphs, and bare loops that do the least that could be done with them."""
