"""Calls of tools in the words of the APIs."""
