"""A skill for coding agents (https://agentskills.io): `freehold/` is its folder as it is installed."""
