"""Convert a file, and hold the result against what freehold itself reads: its file, its endpoints, its routes."""

import msgspec

from freehold.catalog.vendors import with_addresses
from freehold.gateway.config import check_route
from freehold.types.config import parse
from freehold.workflows.journey.converting.convert import ConvertRequest, convert
from freehold.workflows.shift.endpoints import configured_endpoints
from freehold.workflows.shift.routes import route_of


def converted(folder, name, text, **options):
    """What became of a file, and the project that `freehold.toml` is then. No key of the file is in either."""
    file = folder / name
    file.write_text(text if isinstance(text, str) else msgspec.json.encode(text).decode())
    made = convert(ConvertRequest(file=file, folder=folder, write=True, **options))
    written = (folder / "freehold.toml").read_text()
    assert written == made.toml
    config = with_addresses(parse(written))
    names = [one.name for one in configured_endpoints(config)]
    for table in config.routes:
        check_route(route_of(table), names)
    for key in ("sk-live", "SECRET"):
        assert key not in msgspec.json.encode(made).decode()
    return made, config


def unmapped(made):
    """Where everything stands that has no counterpart."""
    return {one.source for one in made.unmapped}
