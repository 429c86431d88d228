"""All fuzz targets, by name."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.targets import files, http, inside, upstream, wire

TARGETS: dict[str, Target] = {
    target.name: target for room in (wire, http, upstream, files, inside) for target in room.TARGETS
}
