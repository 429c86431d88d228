"""What a candidate does on the selection split, and what its requests cost."""
