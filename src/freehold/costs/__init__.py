"""What usage costs on an API, what serving costs at home, and where they meet. Pure."""
