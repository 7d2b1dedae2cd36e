"""QONNX files (Quant, BipolarQuant, Trunc) as integer graphs."""
