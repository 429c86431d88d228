"""How an endpoint is asked: in which API, and with what body."""
