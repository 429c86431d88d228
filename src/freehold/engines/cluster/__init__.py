"""One plan on several machines: replicas on a Ray cluster."""
