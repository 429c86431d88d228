"""What a project's endpoints are called, in routes and in traces."""

from __future__ import annotations

ENDPOINT_NAME = "local"
INCUMBENT = "incumbent"
