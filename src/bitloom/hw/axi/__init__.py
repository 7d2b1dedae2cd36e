"""AXI4-Stream ports and AXI4-Lite registers, with the port names that tools infer buses from."""
