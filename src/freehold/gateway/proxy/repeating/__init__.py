"""Exact repeats on their way through the proxy: kept answers found and replayed, new ones kept."""
