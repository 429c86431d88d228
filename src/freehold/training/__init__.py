"""Fine-tuning in a child process, and the export of what it leaves."""
