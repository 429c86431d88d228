"""From a finished request to a stored trace: redacted, spooled, recorded."""
