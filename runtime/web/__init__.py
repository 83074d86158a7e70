"""The annotated stream and the text in a browser, for a machine without a screen."""
