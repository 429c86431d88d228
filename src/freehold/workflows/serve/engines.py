"""`freehold engines`: what can serve here, and what is installed for it."""

from __future__ import annotations

import msgspec

from freehold.engines import load
from freehold.engines.engine import ENGINES, Presence
from freehold.engines.llamacpp import native
from freehold.engines.llamacpp.native import NativeBuild
from freehold.engines.vllm import environment as vllm
from freehold.errors import EngineError, UsageError
from freehold.progress import Progress
from freehold.settings import Settings


class EngineLine(Presence, frozen=True, kw_only=True):
    """One engine, and whether it can be used here."""

    name: str


def list_engines(settings: Settings) -> list[EngineLine]:
    """Every engine, in the order of the table."""
    return [
        EngineLine(name=name, **msgspec.structs.asdict(load(name).presence(settings))) for name in ENGINES
    ]


def install_vllm(settings: Settings, flavour: str, *, progress: Progress) -> vllm.Installation:
    """Install vLLM into an environment of its own. Raises what `vllm.environment.install` raises."""
    if settings.offline and vllm.read(settings.home, flavour) is None:
        raise EngineError(
            f"{flavour} is not here, and FREEHOLD_OFFLINE forbids fetching it",
            hint="unset FREEHOLD_OFFLINE for the installation",
        )
    return vllm.install(settings.home, flavour, progress)


def remove_vllm(settings: Settings, flavour: str) -> int:
    """Remove an environment of vLLM, finished or not; returns the bytes freed. Raises `UsageError` without one."""
    if not (settings.home / "engines" / flavour).exists():
        raise UsageError(f"{flavour} is not installed", hint="freehold engines list shows what is")
    return vllm.remove(settings.home, flavour)


def install_native(settings: Settings, *, progress: Progress) -> NativeBuild:
    """Build llama.cpp for this CPU, which is used from then on.

    Where building makes nothing faster it is said; llama-quantize comes with it all the same. Raises `EngineError` when
    it does not work out.
    """
    helps = native.can_help()
    progress.say(f"building helps: {helps.reason}" if helps.helps else helps.reason)
    return native.read(settings.home) or native.build(settings.home, progress)
