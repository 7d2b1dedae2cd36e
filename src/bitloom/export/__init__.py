"""Writing a circuit or a graph to files: Verilog, testbenches, projects, TFLite models."""
