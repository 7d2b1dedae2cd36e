"""Measurements that can be repeated: `python -m benchmarks.mnist`, `python -m benchmarks.networks`."""
