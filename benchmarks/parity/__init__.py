"""Exported models against their original: accuracy, latency, memory, size, and the report."""
