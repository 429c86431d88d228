"""The task of an evaluation: what `freehold.toml` says, with what is asked for on the command line instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from freehold.errors import ConfigError, UsageError
from freehold.settings import Settings
from freehold.types.config import TaskConfig
from freehold.types.config_file import parse
from freehold.types.evaluation import Task
from freehold.workflows.project import Project, check_trusted


def task_of(
    project: Project,
    *,
    scorer: str | None = None,
    options: dict[str, Any] | None = None,
    margin: float | None = None,
    alpha: float | None = None,
) -> Task:
    """The task of `freehold.toml`, with what is asked for here instead. Options belong to a scorer: another one
    starts without the file's. A `scorer` that ends in ``.toml`` is a file with a `[task]` table, taken whole.

    Raises `ConfigError` for a file that can't be read or says something unknown, and `UsageError` for a margin or
    alpha that cannot be, before any request is sent.
    """
    if margin is not None and not 0 < margin < 1:
        raise UsageError(
            f"margin is {margin:g}, expected above 0 and below 1",
            hint="the margin is the largest drop you accept, on the score's scale: 0.02 is two points",
        )
    if alpha is not None and not 0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha:g}, expected between 0 and 0.5", hint="0.025 is the usual choice")
    config = project.config.task
    if scorer is not None and scorer.endswith(".toml"):
        config, scorer = _task_in(Path(scorer), project.settings), None
    from_file = config.options if scorer in (None, config.scorer) else {}
    return Task(
        name=project.config.app.name,
        scorer=scorer or config.scorer,
        margin=config.margin if margin is None else margin,
        alpha=config.alpha if alpha is None else alpha,
        group_by=config.group_by,
        slices=config.slices,
        options=from_file | (options or {}),
        max_tokens=config.max_tokens,
    )


def _task_in(path: Path, settings: Settings) -> TaskConfig:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not valid UTF-8") from None
    if not re.search(r"^\s*\[app\]", text, re.MULTILINE):
        text += '\n[app]\nname = "a task"\n'  # behind the rest, so that errors count its lines
    read = parse(text, path=str(path))
    check_trusted(read, path, settings)
    return read.task
