"""One adapter for each scanner: how it is started so that the reviewed repository cannot steer it, and what it says."""
