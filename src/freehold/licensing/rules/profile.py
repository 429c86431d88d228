"""L302: a use profile that contradicts itself; the reading taken is named."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.rules.base import Assumption, RuleFinding
from freehold.licensing.situation import Situation


class Profile:
    """Contradictions never decide silently: what was assumed is reported."""

    code = "L302"
    title = "Profile contradicts itself"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        use = situation.use
        if situation.mode_assumed:
            yield Assumption(
                "how it is used is not stated: internal use is assumed, where neither answers of a service nor "
                "weights reach others"
            )
        revenue = use.annual_revenue_usd or use.monthly_revenue_usd
        if use.commercial is False and revenue and not use.nonprofit:
            yield Assumption("the use is non-commercial although revenue is stated: it earns none of it")
        if use.commercial and use.mode == "personal":
            yield Assumption("the use is commercial although its mode is personal: commercial counts")
        if use.commercial and use.nonprofit:
            yield Assumption("a non-profit with a commercial use counts as commercial")
        if use.mode == "internal" and use.distributes_weights:
            yield Assumption("mode says internal, but weights are passed on: the wider reading counts")
        if use.then is not None and situation.mode != "train_other_model":
            yield Assumption(f"'then' is {use.then}, but no model is trained: it is not read")
        if situation.mode == "train_other_model" and use.then is None:
            yield Assumption("the trained model stays inside (then is not stated)")
