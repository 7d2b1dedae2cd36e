"""Verilog simulation: the exported text, compiled by Verilator or Icarus Verilog, every tensor read back."""

from bitloom.run.verilog.executor import VerilogExecutor

__all__ = ["VerilogExecutor"]
