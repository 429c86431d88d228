"""L301: facts worth telling that decide nothing by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.rules.base import RuleFinding, reason
from freehold.licensing.situation import Situation
from freehold.types.license import NoteClause
from freehold.types.ruling import RulingReason


class Notes:
    """Where a release's licence is stated, and clauses a careful reader would want pointed out."""

    code = "L301"
    title = "Worth knowing"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for ancestor in situation.ancestors:
            release = ancestor.release
            if release is not None:
                yield RulingReason(
                    code=self.code,
                    license_id=release.license,
                    section=release.section,
                    text=f"{ancestor.edge.model} is released under {release.license}",
                    confidence=release.confidence,
                    model=ancestor.edge.model,
                    source=release.source,
                )
        for layer in situation.layers:
            for clause in layer.license.clauses:
                if not isinstance(clause, NoteClause):
                    continue
                if clause.events is None or situation.events & set(clause.events):
                    yield reason(self, layer, clause, clause.text)
