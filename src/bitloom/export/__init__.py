"""Circuit and graph to files: Verilog, testbenches, TFLite."""
