"""A fake upstream on loopback."""

from tests.gateway.loopback import _upstream, upstream  # noqa: F401
