"""Requests prepared for a model: another system prompt, a reminder, the nearest training samples as earlier turns."""
