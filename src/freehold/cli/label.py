"""`freehold label`: two answers side by side, one key a pair."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import click

from freehold.cli.operation import Reply, opened, operation, opt
from freehold.cli.output import echo
from freehold.errors import UsageError

if TYPE_CHECKING:
    from freehold.workflows.project import Project
    from freehold.workflows.prove.label import BlindPair, Choice, LabelSession, LabelState

_KEYS: dict[str, Choice] = {
    "1": "left",
    "a": "left",
    "2": "right",
    "b": "right",
    "=": "equal",
    "0": "equal",
    "s": "skip",
}
_HELP = "1 left is better   2 right is better   = equal   s skip   u undo   q stop (goes on next time)"


@operation("label", "freehold.workflows.prove.label:LabelState")
def label(
    *,
    evaluation_id: str | None = opt(
        "Evaluation id, or its first digits (default: the latest).", "--evaluation"
    ),
    count: int = opt("How many pairs.", default=100, ge=1),
    project: Project = opened(),
    as_json: bool,
) -> Reply:
    """Say which answer is better, blind and in random order, to calibrate a judge.

    50 labels are the least for a judge to promote, 100 are better. Each label is kept at once; stop when you like.
    Labels that took less than a second each are told of at the end. With --json nothing is labelled: it prints
    how many labels there are, how long they took, and whether that is too fast (hasty).

    \b
    Example:
      freehold label --count 50
      freehold evaluate … --task judge --option human_labels=.freehold/labels/labels-….jsonl
    """
    from freehold.workflows.prove.label import open_session

    session, _ = open_session(project, evaluation_id=evaluation_id, wanted=count)
    if as_json:
        return Reply(session.state, lambda _: ())
    if not sys.stdin.isatty():
        raise UsageError("labelling needs a terminal to press keys on", hint="run freehold label in one")
    ask(session)
    return Reply(session.state, lambda state: (_state(state),))


def _state(state: LabelState) -> str:
    hasty = "; too fast to have read two answers each, and what they calibrate will say so" * state.hasty
    return f"{state.labelled:,} of {state.wanted:,} labelled: {state.path}{hasty}"


def ask(session: LabelSession) -> None:
    """Show pairs and take keys until all are labelled or the person stops."""
    while (pair := session.next()) is not None:
        click.clear()
        echo(_head(session))
        show(pair)
        echo(f"\n{_HELP}")
        while True:
            key = click.getchar().lower()
            if key in ("q", "\x1b", "\x03", "\x04"):
                return
            if key == "u":
                if session.undo():
                    break
                continue
            if key in _KEYS:
                session.record(_KEYS[key])
                break


def _head(session: LabelSession) -> str:
    done = session.progress
    left = ""
    if done.seconds_each is not None:
        left = f", about {max(1, round(done.seconds_each * (done.wanted - done.labelled) / 60))} minutes left"
    return f"pair {done.labelled + 1} of {done.wanted}{left}\n"


def show(pair: BlindPair, *, width: int | None = None) -> None:
    """Print one pair, the answers side by side where the terminal is wide enough."""
    import shutil

    columns = width or shutil.get_terminal_size().columns
    echo(click.style("asked", bold=True))
    echo(textwrap.indent(pair.question.strip(), "  "))
    echo("")
    if columns < 80:
        for name, text in (("1 left", pair.left), ("2 right", pair.right)):
            echo(click.style(name, bold=True))
            echo(textwrap.indent(text.strip(), "  ") + "\n")
        return
    half = (columns - 3) // 2
    left, right = _wrapped(pair.left, half), _wrapped(pair.right, half)
    rows = max(len(left), len(right))
    echo(click.style(f"{'1 left':<{half}} │ 2 right", bold=True))
    for one, other in zip(left + [""] * (rows - len(left)), right + [""] * (rows - len(right)), strict=True):
        echo(f"{one:<{half}} │ {other}")


def _wrapped(text: str, width: int) -> list[str]:
    return [
        piece for line in text.strip().splitlines() or [""] for piece in textwrap.wrap(line, width) or [""]
    ]
