"""Short recordings of the terminal: real commands and what they print, as SVG that plays without a script.

Each begins with a question and its first command, so that what does not move still says what it is about; where a
reader asked for less motion the last screen stands still. pyte is the terminal, termtosvg draws it (extra ``dev``).
"""

import contextlib
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 80
PLAYED = 3
"""How often it plays; the last screen stays."""
TYPING_S, LINE_S, PAUSE_S, END_S = 0.12, 0.07, 2.5, 6.0
"""Between three typed characters, two printed lines, for reading a full screen or an answer, and at the end."""
_CELL = (8, 17)
"""Width and height of a character, as termtosvg draws it."""

Place = Literal["demo", "service", "whole"]


@dataclass(frozen=True, slots=True)
class Recording:
    """Its file is `name`.svg. `asks` stands over the first command; `commands` are given one after the other in `of`: a
    finished demo with a rollout, a service that others use, or the demo with all its weights.

    The terminal has `rows` lines, emptied before each further command where it `clears`. A wait is shown as
    `wait_s_max` seconds at most, and two screens are `frame_ms` apart at least."""

    name: str
    asks: str
    commands: tuple[tuple[str, ...], ...]
    of: Place
    rows: int = 32
    clears: bool = True
    wait_s_max: float = 1.2
    frame_ms: int = 90


RECORDED = (
    Recording(
        "record-choose",
        "May I use this model, and do it and others run here?",
        (
            ("license", "meta-llama/Llama-3.2-1B-Instruct"),
            ("assess", "Qwen/Qwen3.5-0.8B", "google/gemma-3-1b-it", "meta-llama/Llama-3.2-1B-Instruct"),
        ),
        "service",
    ),
    Recording(
        "record-migrate",
        "Is a model I hold good enough? The same command goes on where it was:",
        (("migrate", "--no-serve"),),
        "whole",
        wait_s_max=0.4,
        frame_ms=300,
    ),
    Recording(
        "record-rollback",
        "It answers a tenth of the users. And back?",
        (
            ("rollout", "status"),
            ("rollout", "rollback", "--why", "two complaints"),
            ("rollout", "status"),
        ),
        "demo",
        rows=26,
        clears=False,
    ),
)

_TEMPLATE = """<svg xmlns="http://www.w3.org/2000/svg" id="terminal" role="img"
 viewBox="0 0 680 {height}" version="1.1">
<defs>
<termtosvg:template_settings xmlns:termtosvg="https://github.com/nbedos/termtosvg">
<termtosvg:screen_geometry columns="{columns}" rows="{rows}"/>
<termtosvg:animation type="css"/>
</termtosvg:template_settings>
<style type="text/css" id="generated-style"></style>
<style type="text/css" id="user-style">
.foreground {{fill: #c5c8c6}} .background {{fill: #292929}}
.color0 {{fill: #4b4e55}} .color1 {{fill: #cc555a}} .color2 {{fill: #98a84b}} .color3 {{fill: #d0b344}}
.color4 {{fill: #608ab1}} .color5 {{fill: #98729f}} .color6 {{fill: #68a0b3}} .color7 {{fill: #c5c8c6}}
.color8 {{fill: #9a9b99}} .color9 {{fill: #ff2627}} .color10 {{fill: #98a84b}} .color11 {{fill: #d0b344}}
.color12 {{fill: #84a9cb}} .color13 {{fill: #b392b9}} .color14 {{fill: #8abfd0}} .color15 {{fill: #f2f2f2}}
#screen_view {{animation-iteration-count: {played} !important}}
</style>
</defs>
<rect class="background" width="100%" height="100%" rx="8"/>
<circle cx="24" cy="22" r="7" fill="#ff5f57"/><circle cx="46" cy="22" r="7" fill="#febc2e"/>
<circle cx="68" cy="22" r="7" fill="#28c840"/>
<svg id="screen" width="640" height="{screen}" x="20" y="44" viewBox="0 0 640 {screen}"></svg>
</svg>"""
"""The window; colours as in the still pictures."""


def chunks(folder: Path, arguments: Sequence[str], *, rows: int) -> Iterator[tuple[float, str]]:
    """What a command prints on a terminal of `rows` lines, piece by piece, each with the seconds since the one before.

    Raises `SystemExit` where it could not do what was asked.
    """
    mine, its = pty.openpty()
    known = {name: value for name, value in os.environ.items() if not name.startswith("FREEHOLD_")}
    environment = known | {
        "COLUMNS": str(COLUMNS),
        "LINES": str(rows),
        "TERM": "xterm-256color",
        "PYTHONPATH": str(ROOT / "src"),
    }
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-m", "freehold", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
    ) as running:
        os.close(its)
        said, before = b"", time.monotonic()
        # Linux ends the reading with an error once the last one that writes has gone.
        with contextlib.suppress(OSError):
            while data := os.read(mine, 65536):
                now = time.monotonic()
                said += data
                yield now - before, data.decode(errors="replace")
                before = now
        os.close(mine)
        if running.wait() not in (0, 1, 3):
            raise SystemExit(f"freehold {' '.join(arguments)}: {said.decode(errors='replace')}")


def typed_line(arguments: tuple[str, ...]) -> str:
    """A command as it is typed, over two lines where one is too narrow."""
    quoted = [f'"{word}"' if " " in word else word for word in arguments]
    line = " ".join(["freehold", *quoted])
    if len(line) + 2 <= COLUMNS:
        return line
    at = line.rindex(" ", 0, COLUMNS - 4)
    return f"{line[:at]} \\\r\n    {line[at + 1 :]}"


def events(recording: Recording, folder: Path) -> Iterator[tuple[float, str]]:
    """What the terminal gets, with the second at which it gets it."""
    at, lines = 0.0, 0
    for place, arguments in enumerate(recording.commands):
        line = typed_line(arguments)
        if place == 0:
            yield at, f"\x1b[2m# {recording.asks}\x1b[0m\r\n\x1b[1m$ {line}\x1b[0m"
            lines = 1
        else:
            if recording.clears:
                lines = 0
            yield at, "\x1b[2J\x1b[H\x1b[1m$ " if recording.clears else "\r\n\x1b[1m$ "
            for start in range(0, len(line), 3):
                at += TYPING_S
                yield at, line[start : start + 3]
            yield at, "\x1b[0m"
        at += 1.0
        yield at, "\r\n"
        lines += 1 + line.count("\n")
        for waited, text in chunks(folder, arguments, rows=recording.rows):
            at += min(waited, recording.wait_s_max)
            for part in filter(None, re.split(r"(?<=\n)", text)):
                yield at, part
                at += LINE_S
                lines += part.count("\n")
                if part.endswith("\n") and lines % (recording.rows - 1) == 0:
                    at += PAUSE_S
        at += PAUSE_S


def as_svg(recording: Recording, folder: Path) -> str:
    """The recording as one SVG. Raises `SystemExit` where a command fails."""
    from termtosvg.anim import render_animation
    from termtosvg.asciicast import AsciiCastV2Event, AsciiCastV2Header
    from termtosvg.term import timed_frames

    cast = [AsciiCastV2Event(at, "o", text, None) for at, text in events(recording, folder)]
    records = iter([AsciiCastV2Header(2, COLUMNS, recording.rows, None, None), *cast])
    geometry, frames = timed_frames(
        records, min_frame_dur=recording.frame_ms, last_frame_dur=round(1000 * END_S)
    )
    screen = recording.rows * _CELL[1]
    window = _TEMPLATE.format(
        columns=COLUMNS, rows=recording.rows, screen=screen, height=screen + 60, played=PLAYED
    )
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "made.svg"
        render_animation(frames, geometry, str(target), window.encode(), *_CELL)
        return _finished(recording, target.read_text())


def _finished(recording: Recording, made: str) -> str:
    """With a title for those who do not see it, and still on its last screen for those who want less motion."""
    last = re.findall(r"translateY\((-?\d+)px\)", made)[-1]
    less = f"#screen_view {{animation: none !important; transform: translateY({last}px)}}"
    still = f"@media (prefers-reduced-motion: reduce) {{{less}}}"
    made = made.replace("</style>\n</defs>\n<rect", f"{still}\n</style>\n</defs>\n<rect", 1)
    assert still in made, "the template was changed"
    said = ", then ".join("freehold " + " ".join(arguments) for arguments in recording.commands)
    title = f"<title>{recording.asks} {said}</title>"
    made = re.sub(r"(<svg[^>]*>)", lambda found: found[1] + title, made, count=1)
    return "\n".join(line.rstrip() for line in made.splitlines()) + "\n"
