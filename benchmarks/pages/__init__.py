"""Generated photographs of handwritten pages, and what is measured with them."""
