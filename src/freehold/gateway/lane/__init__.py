"""The short way of a worker, for requests that need nothing but a key, a settled route and one endpoint."""
