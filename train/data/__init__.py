"""Labelled letters: where they are stored, and how they are drawn for training."""
