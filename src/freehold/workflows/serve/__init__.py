"""Run an engine: plan, hold, tune, measure."""
