"""Accuracy parity, latency and whole pages, measured on this machine."""
