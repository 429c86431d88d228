"""`freehold gap`: published scores, open against proprietary."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from freehold.cli.options import hanging, json_option, now, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.catalog.scores import Gap


@click.command("gap")
@click.argument("task", required=False)
@json_option("freehold.catalog.scores:Gap[]")
def command(task: str | None, as_json: bool) -> None:
    """The best open model against the best proprietary one, by task and source; sources are never mixed.

    Without TASK: one sentence on the whole, the newest table of each task since 2025, and references of before apart.
    With it: every source of the tasks whose name contains TASK. These are published figures on public tasks, not
    yours, and makers choose what they publish: freehold evaluate measures your own.

    \b
    Example:
      freehold gap
      freehold gap GPQA
      freehold gap Banking77 --json
    """
    from freehold.catalog.scores import gaps, headline

    found = gaps(task)
    if as_json:
        print_json(found)
        return
    said = headline(found)
    if said is not None:
        echo(click.style(hanging(said, ""), bold=True))
    if task is None:
        _overview(found)
    else:
        for one in found:
            _block(one)
    if not found:
        echo("no source scored both an open and a proprietary model on it", err=True)


def _overview(found: list[Gap]) -> None:
    """One line a task, then what is older, then where it all is from."""
    from freehold.catalog.scores import newest

    latest = newest(found)
    makers = "Most tables are by makers of open models, who choose the tasks and whom they stand against."
    echo(click.style(hanging(f"{makers} Best open, best rented, by task:", ""), dim=True))
    for one in latest:
        _line(one)
    echo(click.style("Before 2025, of models of that time:", bold=True))
    tables: dict[str, list[Gap]] = {}
    for one in found:
        if not one.recent:
            tables.setdefault(one.source, []).append(one)
    for rows in tables.values():
        if len(rows) == 1:
            _line(rows[0])
        else:
            echo(hanging(_older(rows), "  ", "    "))
    echo(click.style("Tables:", dim=True))
    for source, checked in {one.source: one.checked for one in latest}.items():
        echo(click.style(hanging(f"{source}, {_age(checked)}", "  - ", "    "), dim=True))


def _older(rows: list[Gap]) -> str:
    """A source with several tasks in one line; where settings differ, also how open models do in the same one."""
    alike = [gap.difference if gap.same_setting else gap.like_difference for gap in rows]
    ahead, level = (
        sum(gap.difference >= 0 for gap in rows),
        sum(one is not None and one >= 0 for one in alike),
    )
    dated = f" ({rows[0].published})" if rows[0].published else ""
    same = f", on {level} in the same setting" if level != ahead else ""
    return f"{rows[0].source}{dated}: open level or ahead on {ahead} of {len(rows)} tasks{same}"


def _line(gap: Gap) -> None:
    digits = _digits(gap)
    dated = f", {gap.published}" if gap.published else ""
    text = f"{gap.open_score:.{digits}f} {gap.open_model}, {gap.proprietary_score:.{digits}f} {gap.proprietary_model}"
    echo(hanging(text + dated, f"  {gap.task:<23}{gap.difference:>+7.{digits}f}  ", " " * 34))


def _block(gap: Gap) -> None:
    digits = _digits(gap)
    dated = f" ({gap.published})" if gap.published else ""
    echo(f"{click.style(gap.task, bold=True)}, {gap.metric}{dated}: open {gap.difference:+.{digits}f}")
    echo(hanging(f"{gap.open_model} ({gap.open_setting})", f"  open         {gap.open_score:>7.{digits}f}  "))
    echo(
        hanging(
            f"{gap.proprietary_model} ({gap.proprietary_setting})",
            f"  proprietary  {gap.proprietary_score:>7.{digits}f}  ",
        )
    )
    if gap.like_score is not None and gap.like_difference is not None:
        echo(
            f"  open, same   {gap.like_score:>7.{digits}f}  {gap.like_model} ({gap.proprietary_setting}): "
            f"{gap.like_difference:+.{digits}f}"
        )
    unlike = "" if gap.same_setting else "settings differ; "
    recalled = "" if gap.all_seen else "partly recalled, not read; "
    echo(click.style(hanging(f"{unlike}{recalled}{gap.source}, {_age(gap.checked)}", "  "), dim=True))


def _digits(gap: Gap) -> int:
    """Scores up to 1 are shares and need their third place."""
    return 3 if max(abs(gap.open_score), abs(gap.proprietary_score)) <= 1 else 1


def _age(checked: date) -> str:
    from freehold.catalog.freshness import said

    return said("published scores", checked, now().date())
