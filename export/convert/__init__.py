"""Conversion: a Keras network to TFLite and ONNX files, their facts and metadata, and what a file says about itself."""
