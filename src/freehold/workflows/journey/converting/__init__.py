"""Configurations of other tools, converted to `freehold.toml`."""
