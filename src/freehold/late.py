"""Libraries of extras that many rooms use, imported where they are first used: ``from freehold.late import np``.

A name here stands for its library. The first attribute that is asked of it imports the library, or raises
`MissingExtraError` with the command that installs it, so that what does not compute or serve needs none of them.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import TYPE_CHECKING, Any

from freehold.errors import MissingExtraError

__all__ = [
    "aiohttp",
    "jsonschema",
    "linalg",
    "np",
    "optimize",
    "require",
    "sparse",
    "special",
    "web",
    "yarl",
    "zstandard",
]

_COMPUTING = "computing with scores and datasets"


def require(feature: str, extra: str, *modules: str) -> None:
    """Raises `MissingExtraError` where one of the libraries is not installed: for what will import them."""
    for module in modules:
        # Looked for, not imported: a process that needs one of them later starts without it.
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            raise MissingExtraError(feature, extra)


class _Late(ModuleType):
    """A library until it is asked for something; then all its names."""

    def __init__(self, name: str, extra: str, feature: str) -> None:
        super().__init__(name)
        self._late = feature, extra, name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        feature, extra, module = self._late
        try:
            library = importlib.import_module(module)
        except ImportError:
            raise MissingExtraError(feature, extra) from None
        self.__dict__.update({key: value for key, value in vars(library).items() if key[:2] != "__"})
        return getattr(library, name)


if TYPE_CHECKING:
    import aiohttp
    import jsonschema
    import numpy as np
    import yarl
    import zstandard
    from aiohttp import web
    from scipy import linalg, optimize, sparse, special
else:
    aiohttp = _Late("aiohttp", "prove", "asking a model")
    yarl = _Late("yarl", "prove", "asking a model")
    web = _Late("aiohttp.web", "gateway", "serving")
    np = _Late("numpy", "prove", _COMPUTING)
    jsonschema = _Late("jsonschema", "prove", _COMPUTING)
    linalg = _Late("scipy.linalg", "prove", _COMPUTING)
    optimize = _Late("scipy.optimize", "prove", _COMPUTING)
    sparse = _Late("scipy.sparse", "prove", _COMPUTING)
    special = _Late("scipy.special", "prove", _COMPUTING)
    zstandard = _Late("zstandard", "prove", "keeping and reading packed requests")
