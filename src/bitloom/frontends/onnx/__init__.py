"""Quantized ONNX files (QDQ and quantized operators) as integer graphs."""
