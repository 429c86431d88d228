"""What only a living incumbent can give, taken within a budget before it stops."""
