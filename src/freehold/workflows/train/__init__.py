"""Teach a model the task: plan, train, search, list, export."""
