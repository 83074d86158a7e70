"""Zips for microcontrollers: one model as C++, with what runs it in TensorFlow Lite Micro and the proof that it runs right."""
