"""Several samples of one answer."""
