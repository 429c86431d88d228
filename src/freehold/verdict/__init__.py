"""Joins ruling, fit, comparison and cost into promote, hold or reject. Pure."""
