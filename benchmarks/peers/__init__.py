"""Other readers and engines on the same images."""
