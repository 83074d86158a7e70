"""How fast the reader and the models are, and what limits them."""
