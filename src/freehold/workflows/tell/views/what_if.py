"""What a visitor may ask of another machine or another model: names, never a file or an address of this machine."""

from __future__ import annotations

from pathlib import Path

from freehold.catalog import models as catalog
from freehold.errors import UsageError
from freehold.workflows.fit.machine_words import machine_of_words


def machine_words(spec: str | None) -> str | None:
    """`spec` where it is words for a machine (``2x L4``, ``g5.xlarge``); None for none.

    Raises `UsageError` for anything else: commands take a machine file here, and a page must not read files.
    """
    if spec is None or not spec.strip():
        return None
    if spec.endswith(".toml") or "/" in spec or "\\" in spec or Path(spec).exists():
        raise UsageError("a machine is named by words here, not by a file", hint='write it like "2x L4"')
    machine_of_words(spec)
    return spec.strip()


def catalog_model(name: str | None) -> str | None:
    """The id of a model of the catalog; None for none. Raises `UnknownModelError` for what is not in it: commands take
    paths and addresses here, and a page must not."""
    return None if name is None or not name.strip() else catalog.get(name.strip()).id
