"""Clouds on loopback, and a fake upstream that is both they and the vendor."""

from tests.gateway.asking import _close_clients  # noqa: F401
from tests.gateway.loopback import _upstream, upstream  # noqa: F401
from tests.signing.vendors import cloud  # noqa: F401
