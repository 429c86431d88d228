"""What an operator sees: the request log, spans, metrics."""
