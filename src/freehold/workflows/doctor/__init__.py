"""Is everything in order: the machine, the project, its store."""
