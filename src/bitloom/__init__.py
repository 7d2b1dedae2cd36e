"""bitloom: quantized neural networks as hardware, bit for bit."""
