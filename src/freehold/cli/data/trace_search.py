"""The options by which `freehold traces list` searches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import click

if TYPE_CHECKING:
    from freehold.types.trace_search import TraceQuery

F = TypeVar("F", bound=Callable[..., Any])


class Sought(NamedTuple):
    """What is looked for besides the options of `filter_options`, as it was typed."""

    user: str | None
    status: str | None
    arm: str | None
    upstream_id: str | None
    until: str | None
    words: str | None

    @property
    def is_asked(self) -> bool:
        """Whether anything is: an empty name, as of a variable that is not set, finds nothing rather than all."""
        return any(option is not None for option in self)

    def query(self, **others: Any) -> TraceQuery:
        """The same for the store, with what the other options say. Raises `UsageError` for a time that cannot be
        read."""
        from freehold.cli.options import now
        from freehold.types.trace_search import TraceQuery
        from freehold.workflows.data import traces

        return TraceQuery(
            user=self.user,
            status=self.status,
            arm=cast("Any", self.arm),
            upstream_id=self.upstream_id,
            until=None if self.until is None else traces.moment(self.until, now()),
            text=self.words,
            **others,
        )


def search_options(command: F) -> F:
    """The options of a `Sought`, which the command is given as `sought`."""

    @functools.wraps(command)
    def searching(**given: Any) -> Any:
        sought = Sought(**{name: given.pop(name) for name in Sought._fields})
        return command(sought=sought, **given)

    for option in (
        click.option(
            "--text",
            "words",
            metavar="WORDS",
            help='Words of what was asked or answered, all of them: refund "order 4711" deliv*.',
        ),
        click.option("--until", metavar="TIME", help="Only before: 30m, 12h, 7d ago, or a date."),
        click.option(
            "--upstream-id", metavar="ID", help="What the upstream calls the request, or its answer."
        ),
        click.option(
            "--arm", type=click.Choice(["incumbent", "candidate"]), help="Where the request was sent."
        ),
        click.option(
            "--status", metavar="STATUS", help="404, 4xx, 5xx, or error: 5xx, cut off, passed over."
        ),
        click.option(
            "--user", help="Only this user's: as the request, its metadata or x-freehold-user says."
        ),
    ):
        searching = option(searching)
    return cast("F", searching)
