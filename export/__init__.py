"""Keras models to TFLite and ONNX files that are proven equal to them."""
