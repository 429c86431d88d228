"""The whole journey from one file: init, migrate, rescue, the demo."""
