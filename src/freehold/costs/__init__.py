"""What the rented model costs, what holding one costs, and where the two meet."""
