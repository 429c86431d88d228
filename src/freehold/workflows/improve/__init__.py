"""A promoted model that gets better: its traffic becomes the next generation, proven before it serves."""
