"""What freehold writes to stderr about itself: `FREEHOLD_LOG` and ``--verbose``, in every process of a run.

A value is a level, ``NAME=LEVEL``, or several of them with commas between: ``info,freehold.engines=debug``. A level
alone is freehold's; a name is a logger's as the lines show it, also one of another library. Child processes inherit the
value through the environment. Log lines hold no customers' content and no secrets.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any, TextIO

from freehold.errors import ConfigError, did_you_mean
from freehold.visible import one_line, visible

VARIABLE = "FREEHOLD_LOG"
LEVELS = ("debug", "info", "warning", "error")


class TextLines(logging.Formatter):
    """Lines for people: time in UTC, level, logger, message."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:
        """One line whatever is in the message: a line break in a stranger's words would forge the next entry."""
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        """The traceback, with nothing in it that steers a terminal."""
        return visible(super().formatException(ei))


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment: a progress bar puts a stream of its own there while it draws."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def levels(value: str) -> dict[str, int]:
    """Levels by logger, from a value of `FREEHOLD_LOG`; of two for one logger the later holds. Raises `ConfigError`."""
    found = {}
    for part in filter(None, map(str.strip, value.split(","))):
        name, _, level = part.rpartition("=")
        if level.lower() not in LEVELS:
            raise ConfigError(
                f"{VARIABLE} is {value!r}: {level!r} is not a level",
                hint=did_you_mean(
                    level.lower(),
                    LEVELS,
                    f"a level ({', '.join(LEVELS)}) or NAME=LEVEL,NAME=LEVEL; names are those of the log lines",
                ),
            )
        found[name or "freehold"] = logging.getLevelNamesMapping()[level.upper()]
    return found


def add(level: str) -> None:
    """Ask for `level` in this process's environment, on top of what `FREEHOLD_LOG` says already."""
    os.environ[VARIABLE] = ",".join(filter(None, (os.environ.get(VARIABLE), level)))


def configure(formatter: logging.Formatter | None = None) -> None:
    """Log to stderr at the levels of `FREEHOLD_LOG`, else warnings and errors. Raises `ConfigError`.

    May be called again when the value has changed; a handler that is there already stays.
    """
    chosen = levels(os.environ.get(VARIABLE, ""))
    handler = StderrHandler()
    handler.setFormatter(formatter or TextLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name, level in chosen.items():
        logging.getLogger(name).setLevel(level)
