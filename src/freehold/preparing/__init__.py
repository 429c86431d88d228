"""Requests prepared for a model: another system prompt, the nearest training samples as earlier turns."""
