"""Benchmarks: ``python -m benchmarks`` measures this cache beside its peers and writes tables and pictures.

All contenders take turns within one run, block by block, on one embedded
MongoDB and one stand-in TMDB: a drift of the machine hits them alike, and only
the ratios travel to another one.
"""
