"""ONNX files in real numbers as float graphs."""
