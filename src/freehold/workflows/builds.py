"""Which build of llama.cpp runs on this machine."""

from __future__ import annotations

from freehold.engines.llamacpp import native
from freehold.hardware.speed import Build
from freehold.settings import Settings


def engine_build(settings: Settings) -> Build:
    """Which build of llama.cpp runs here when nothing else is asked for."""
    return "native" if native.binary(settings.home) is not None else "wheel"
