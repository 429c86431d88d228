"""An endpoint that runs elsewhere."""
