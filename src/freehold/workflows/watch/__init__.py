"""Is it still good: checks of a promoted model, again and again."""
