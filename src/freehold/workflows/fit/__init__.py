"""What this machine is, and what fits on it: memory, sizes, speeds."""
