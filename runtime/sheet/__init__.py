"""A sheet to write on: printed, filled in, photographed, and cut into letters with known names."""
