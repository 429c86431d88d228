"""Run an engine: plan, hold, tune, measure, change what is served."""
