"""The page, its scripts and its styles: files of this package, and nothing else."""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable

from freehold.late import web

MEDIA_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
SCRIPTS_AND_STYLES = re.compile(r"(?:(?:pieces|screens)/)?[a-z_]+\.(?:js|css)")
TOKENS = re.compile(r"(?:\s*(?::root|@media \(prefers-color-scheme: dark\)) \{.*?\n\})+", re.DOTALL)


def folder() -> Traversable:
    """Where they lie."""
    return resources.files("freehold.console") / "static"


def page() -> web.Response:
    """The one page."""
    return _response("page.html")


def script_or_style(name: str) -> web.Response:
    """A file by its name below the folder. Raises `aiohttp.web.HTTPNotFound`."""
    if not SCRIPTS_AND_STYLES.fullmatch(name) or not folder().joinpath(*name.split("/")).is_file():
        raise web.HTTPNotFound
    return _response(name)


def design_tokens() -> str:
    """The colours and typefaces that the report has, light and dark: one set for both."""
    style = resources.files("freehold.report") / "templates" / "style.css"
    found = TOKENS.match(style.read_text(encoding="utf-8"))
    return found[0] + "\n" if found else ""


def _response(name: str) -> web.Response:
    text = folder().joinpath(*name.split("/")).read_text(encoding="utf-8")
    if name == "console.css":
        text = design_tokens() + text
    return web.Response(text=text, content_type=MEDIA_TYPES[name.rpartition(".")[2]], charset="utf-8")
