"""Measures the framework beside the same work by hand and beside its peers: ``python -m benchmarks --help``."""
