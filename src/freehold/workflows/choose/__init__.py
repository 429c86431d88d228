"""Which open model: the shortlist, its cost, its quantizations."""
