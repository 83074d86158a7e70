"""The device side: NumPy, OpenCV and one inference engine."""
