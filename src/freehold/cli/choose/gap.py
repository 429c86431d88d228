"""`freehold gap`: published scores, open against proprietary."""

from __future__ import annotations

import click

from freehold.cli.options import hanging, json_option, now, print_json
from freehold.cli.output import echo


@click.command("gap")
@click.argument("task", required=False)
@json_option("freehold.catalog.scores:Gap[]")
def command(task: str | None, as_json: bool) -> None:
    """The best open model against the best proprietary one, by task and source; sources are never mixed.

    These are published figures on public tasks, not yours: freehold evaluate measures your own.

    \b
    Example:
      freehold gap
      freehold gap Banking77
    """
    from freehold.catalog.freshness import said
    from freehold.catalog.scores import gaps

    found = gaps(task)
    if as_json:
        print_json(found)
        return
    for one in found:
        # Scores up to 1 are shares and need their third place.
        digits = 3 if max(abs(one.open_score), abs(one.proprietary_score)) <= 1 else 1
        echo(f"{click.style(one.task, bold=True)}, {one.metric}: open {one.difference:+.{digits}f}")
        echo(
            hanging(
                f"{one.open_model} ({one.open_setting})", f"  open         {one.open_score:>7.{digits}f}  "
            )
        )
        echo(
            hanging(
                f"{one.proprietary_model} ({one.proprietary_setting})",
                f"  proprietary  {one.proprietary_score:>7.{digits}f}  ",
            )
        )
        if one.like_score is not None and one.like_difference is not None:
            echo(
                f"  open, same   {one.like_score:>7.{digits}f}  {one.like_model} ({one.proprietary_setting}): "
                f"{one.like_difference:+.{digits}f}"
            )
        unlike = "" if one.same_setting else "settings differ; "
        recalled = "" if one.all_seen else "partly recalled, not read; "
        echo(
            click.style(
                hanging(
                    f"{unlike}{recalled}{one.source}, {said('published scores', one.checked, now().date())}",
                    "  ",
                ),
                dim=True,
            )
        )
    if not found:
        echo("no source scored both an open and a proprietary model on it", err=True)
