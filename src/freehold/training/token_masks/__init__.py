"""Which tokens of a sample a model learns to write, to be looked at."""
