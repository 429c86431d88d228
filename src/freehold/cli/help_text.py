"""Help in lines that the terminal holds, examples included, and these such that they can be pasted."""

from __future__ import annotations

import click

_ON = " \\"
_DEEPER = 4


class HelpText(click.HelpFormatter):
    """Click leaves the lines of a marked paragraph as they are; here a command that is too long goes on below."""

    def write_text(self, text: str) -> None:
        before = len(self.buffer)
        super().write_text(text)
        written = "".join(self.buffer[before:])
        del self.buffer[before:]
        self.write("\n".join(_broken(line, self.width) for line in written.split("\n")))


def _broken(line: str, width: int) -> str:
    """A line whose words go on in the next one, after a backslash where it is a command's."""
    if len(line) <= width:
        return line
    indent = len(line) - len(line.lstrip())
    on = _ON if line.split()[0] in ("freehold", "python") else ""
    lines, now = [], " " * indent
    for word in line.split():
        fits = len(now) + 1 + len(word) + len(on) <= width
        if now.strip() and not fits:
            lines.append(now + on)
            now = " " * (indent + _DEEPER) + word
        else:
            now = f"{now} {word}" if now.strip() else now + word
    return "\n".join([*lines, now])


def install() -> None:
    """Have every command of this process write its help so."""
    click.Context.formatter_class = HelpText
