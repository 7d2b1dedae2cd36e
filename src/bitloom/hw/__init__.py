"""Circuits in PyRTL that know widths and shapes, not networks: streams, arithmetic units, memories, buses."""
