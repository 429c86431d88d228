"""Is it good enough: evaluate, compare, label, parity."""
