"""Data sources, drawing, the network, fitting and evaluation."""
