"""From traces to immutable datasets: import, split, leak checks."""
