"""A rollout: its steps and its tests."""
