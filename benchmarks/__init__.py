"""Benchmarks: ``python -m benchmarks`` measures the latency of a hit beside its peers."""
