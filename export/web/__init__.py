"""The app for a browser: a folder that any web server can offer, in which a phone classifies with its own camera."""
