"""Which other runtimes and tools open exported files, and whether they give the same answers."""
