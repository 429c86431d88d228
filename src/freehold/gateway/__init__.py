"""The proxy between an application and its models: routing, capture, guards, limits."""
