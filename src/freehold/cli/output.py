"""The one way from a command to the terminal: words of strangers cannot steer it (see `freehold.visible`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

import click

from freehold.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.style import Style


def _without_link(style: Style | None) -> Style | None:
    """A style that shows no other address than its text does."""
    return style.update_link(None) if style is not None and style.link else style


def echo(
    message: Any = "",
    *,
    file: IO[str] | None = None,
    nl: bool = True,
    err: bool = False,
    color: bool | None = None,
) -> None:
    """`click.echo`, of text that only has line breaks, tabs and styles."""
    click.echo(visible(str(message), styles=True), file=file, nl=nl, err=err, color=color)


def json_escaped(text: str) -> str:
    """JSON in which every character is shown plainly: the others stand as JSON's own escapes, so it means the same."""
    if visible(text) == text:
        return text
    return "".join(one if visible(one) == one else _json_escape(one) for one in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def console(**options: Any) -> Console:
    """A console of rich that prints tables and bars, and of the text in them only what `echo` would."""
    import rich.console
    from rich.segment import Segment

    class SafeConsole(rich.console.Console):
        """Text is made visible when it is drawn, so that no cell, title or note is forgotten."""

        def _render_buffer(self, buffer: Iterable[Segment]) -> str:
            return super()._render_buffer(
                segment if segment.control else Segment(visible(segment.text), _without_link(segment.style))
                for segment in buffer
            )

    return SafeConsole(**options)
