"""A rollout: its steps, its tests, a rehearsal of it."""
