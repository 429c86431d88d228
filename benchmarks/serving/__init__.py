"""What serving through freehold costs and gains: see `benchmarks.serving.run`."""
