"""A rollout: its steps, its tests, rehearsals and simulations of it."""
