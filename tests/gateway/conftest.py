"""A fake upstream on loopback for all of the gateway's tests, and clients that are closed."""

from tests.gateway.asking import _close_clients  # noqa: F401
from tests.gateway.loopback import _upstream, shared, upstream  # noqa: F401
