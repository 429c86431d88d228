"""The plain ways to change a request: no model proposes them, each is tried.

Covered: the system prompt as the user's words, for models that were not taught a system role; the form of the answer
said again at the end; labels or fields of the answer written out where the system prompt does not name them; and all
of these together. Not covered: free text, tool calls and a user's own code, whose form is not known here; for them only
the role is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from freehold.prompts.forms import StatedForm
from freehold.types.preparation import Preparation

AS_SENT = "as sent"


class Variant(NamedTuple):
    """One way to ask, by its name."""

    name: str
    preparation: Preparation


class AskedOf(NamedTuple):
    """Whose requests are changed: which model's, of which dataset, with which system prompt. `varied`: requests have
    different ones, so that none of them can be rewritten, and what is changed is changed whatever theirs is."""

    base_model: str
    dataset_id: str
    system: str | None
    varied: bool = False

    def preparation(
        self, *, system: str | None = None, system_as_user: bool = False, reminder: str | None = None
    ) -> Preparation:
        """A preparation of these requests, named by what it changes."""
        return Preparation.of(
            base_model=self.base_model,
            dataset_id=self.dataset_id,
            system_was=self.system,
            system=system,
            system_as_user=system_as_user,
            reminder=reminder,
            made_from=(self.dataset_id,),
        )


def variants(asked: AskedOf, form: StatedForm) -> list[Variant]:
    """All ways to ask that the form of the answers and the request allow; the request as it is sent first."""
    roles = (False, True) if asked.system or asked.varied else (False,)
    reminders = (None, form.reminder) if form.reminder else (None,)
    statements = (
        (None, form.statement) if form.statement and not form.stated_in(asked.system or "") else (None,)
    )
    made = []
    for statement, reminder, role in product(statements, reminders, roles):
        names = [form.noun] if statement else []
        names += ["reminder"] if reminder else []
        names += ["as user"] if role else []
        if statement and not asked.system:
            # There is no one system prompt to add to: the statement goes to the end of the user's words.
            said = "\n".join(filter(None, (statement, reminder)))
            preparation = asked.preparation(system_as_user=role, reminder=said)
        else:
            system = f"{(asked.system or '').rstrip()}\n\n{statement}" if statement else None
            preparation = asked.preparation(system=system, system_as_user=role, reminder=reminder)
        made.append(Variant(" + ".join(names) or AS_SENT, preparation))
    return made


def rewritten(asked: AskedOf, start: Preparation, system: str) -> Preparation:
    """The way `start` with another system prompt."""
    return asked.preparation(system=system, system_as_user=start.system_as_user, reminder=start.reminder)


def most_common_system(systems: Sequence[str | None]) -> tuple[str | None, float]:
    """The system prompt that most requests have, and the share of them that do, in [0, 1]."""
    if not systems:
        return None, 0.0
    counted: dict[str | None, int] = {}
    for one in systems:
        counted[one] = counted.get(one, 0) + 1
    system = max(counted, key=lambda one: counted[one])
    return system, counted[system] / len(systems)
