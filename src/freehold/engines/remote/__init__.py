"""An endpoint that somebody else runs."""
