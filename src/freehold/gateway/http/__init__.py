"""HTTP/1.1 on both sides: the server a client talks to, and the clients of upstreams."""

from freehold.late import require

require("the gateway", "gateway", "httptools", "prometheus_client")
