"""Results as a table for a terminal, and as the tables of ``docs/reliability.md``."""

import datetime
import re
import textwrap
from pathlib import Path

import psutil
from tests.faults.table import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- Made by python -m tests.faults --page -->", "<!-- The end of what is made -->"
KILLS_BEGIN, KILLS_END = "<!-- Made by python -m tests.faults --kills -->", "<!-- The end of the kills -->"
_HEADS = (
    "fault",
    "what happens",
    "times",
    "clients saw",
    "longest wait",
    "answered",
    "not stored",
    "counted",
    "neither",
    "processes there after",
    "answers again after",
    "stores again after",
)


def _seconds(value):
    return "not in 90 s" if value is None else f"{value:.1f} s"


def cells(one):
    """The cells of a result, as text."""
    about = FAULTS[one.name].about + (f" ({one.failed_calls} calls)" if one.failed_calls else "")
    statuses = ", ".join(f"{count} × {status}" for status, count in one.statuses.items())
    neither = f"{one.silent} ({one.silent_s:.2f} s of traffic a fault)" if one.silent else "0"
    return (
        one.name,
        about,
        str(one.times),
        statuses,
        _seconds(one.longest_s),
        str(one.answered),
        str(one.missing),
        str(one.counted),
        neither,
        "" if one.replaced_s is None else _seconds(one.replaced_s),
        _seconds(one.answers_again_s),
        _seconds(one.stores_again_s),
    )


def terminal_line(one):
    """A result on two lines of a terminal."""
    name, _, times, statuses, longest, _, missing, counted, neither, there, answers, stores = cells(one)
    there = f"; processes there after {there}" if there else ""
    return (
        f"{name} × {times}: {statuses}; longest wait {longest}\n"
        f"    not stored {missing}, counted {counted}, neither {neither}{there}; answers again after {answers}, "
        f"stores again after {stores}"
    )


def markdown(results, *, command, at):
    """The part of the page that is made: where it was measured, and the table."""
    rows = [_HEADS, tuple("---" for _ in _HEADS), *map(cells, results)]
    lines = [
        BEGIN,
        "",
        f"Measured on {at:%Y-%m-%d} with `{command}`, on {processor()}.",
        "",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        END,
    ]
    return "\n".join(lines)


def processor():
    """The processor and its cores, as the system names them."""
    name = "an unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M)):
        name = found[1]
    return f"{name}, {psutil.cpu_count()} cores"


def replaced(text, made, marks=(BEGIN, END)):
    """The page with `made` in the place of what was made before. Raises `ValueError` where there is no such place."""
    head, begin, rest = text.partition(marks[0])
    _, end, tail = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"the page lacks {marks[0]!r} and {marks[1]!r}")
    return head + made + tail


def kills_sentence(one):
    """What kills came to, in a sentence."""
    victims = ", ".join(f"{name} {count}" for name, count in one.victims.most_common())
    unanswered = ", ".join(
        f"{count:,} × {status}" for status, count in one.statuses.most_common() if status != "200"
    )
    return (
        f"{one.kills:,} kills ({victims}) in {one.took_s / 60:.0f} minutes: {one.answered:,} answers, of which "
        f"{one.missing:,} are not stored and {one.counted:,} counted; neither: {one.silent:,}. "
        f"Not answered: {unanswered or 'none'}. The longest wait was {_seconds(one.longest_s)}."
    )


def write_kills(total, *, command):
    at = datetime.datetime.now(datetime.UTC)
    said = f"Measured on {at:%Y-%m-%d} with `{command}`, on {processor()}: {kills_sentence(total)}"
    made = "\n".join([KILLS_BEGIN, "", *textwrap.wrap(said, 120, break_on_hyphens=False), "", KILLS_END])
    PAGE.write_text(replaced(PAGE.read_text(), made, (KILLS_BEGIN, KILLS_END)))


def write_page(results, *, command):
    now = datetime.datetime.now(datetime.UTC)
    PAGE.write_text(replaced(PAGE.read_text(), markdown(results, command=command, at=now)))
