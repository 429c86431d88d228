"""What a drafted `freehold.toml` says, part by part, from what the log tells."""
