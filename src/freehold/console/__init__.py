"""The web console: thin."""
