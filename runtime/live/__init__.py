"""Frames over time on a screen: the loop, tracked letters, the window, recordings."""
