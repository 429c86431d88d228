"""L001: an ancestor without a known licence cannot be ruled on."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.rules.base import Assumption, RuleFinding
from freehold.licensing.situation import Ancestor, Situation
from freehold.types.ruling import RulingReason


class UnknownLicense:
    """Fails closed: an ancestor without a known licence, or under one whose text was not read."""

    code = "L001"
    title = "Licence unknown or its text not read"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        if not any(ancestor.licenses for ancestor in situation.ancestors):
            yield self._unknown(
                situation.lineage.model, "no ancestor with a known licence: name the base model or a licence"
            )
        for ancestor in situation.ancestors:
            model = ancestor.edge.model
            if ancestor.note is not None:
                yield Assumption(f"{model}: {ancestor.note}")
            if ancestor.own or ancestor.licenses:
                if ancestor.confidence == "secondary":
                    yield Assumption(_second_hand(ancestor))
                continue
            yield self._unknown(
                model, f"no licence is known for {model}: supply it with --license ID or --license LICENSE"
            )
        for layer in situation.layers:
            if layer.license.confidence == "secondary" and not layer.license.permissive:
                yield RulingReason(
                    code=self.code,
                    license_id=layer.license.id,
                    section="whole text",
                    text=f"the text of {layer.license.name} was not read; read it first",
                    confidence="secondary",
                    model=layer.model,
                    outcome="unclear",
                    source=layer.license.source,
                )

    def _unknown(self, model: str, text: str) -> RulingReason:
        return RulingReason(
            code=self.code,
            license_id="unknown",
            section="",
            text=text,
            confidence="none",
            model=model,
            outcome="unclear",
        )


def _second_hand(ancestor: Ancestor) -> str:
    """What a release's licence is known from where the licensor's own text was not read, and where to check."""
    release, model = ancestor.release, ancestor.edge.model
    source = "a secondary source" if release is None else release.source
    checked = f", read {release.checked}" if release is not None and release.checked else ""
    link = release.models[0] if release is not None and model not in release.models else model
    return (
        f"{model}: its licence is known at second hand ({source}{checked}); compare with "
        f"https://huggingface.co/{link} or the licence file of your copy"
    )
