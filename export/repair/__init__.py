"""Explanation and repair: where quantization loses answers, and the smallest file that is proven to keep them."""
