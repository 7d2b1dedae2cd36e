"""Matrices on wires: the systolic array, block multiplication and elementwise circuits, each usable on its own."""
