"""A report over several candidates: one chosen and proven, one that suffices too, one that stopped, one not tried."""

from decimal import Decimal

from tests.report import sample_report as sample

from freehold.types.choosing import CandidateChoice, RequestCost, SelectionResult

CHOSEN, DEARER, LOST, UNTRIED = "org/chosen", "org/dearer", "org/lost", "org/untried"


def selection(difference, usd, *, width=0.03, against="incumbent"):
    cost = RequestCost(
        usd_per_1000=usd, basis="measured_here", why="8 s", machine_hour="$0.10 an hour (assumed)"
    )
    return SelectionResult(
        n=96, of=96, mean=0.9 + difference, incumbent_mean=0.9, against=against, difference=difference,
        ci_low=difference - width, ci_high=difference + width, needed=-0.01, chance=0.8, passes=difference > -0.01,
        cost=cost, latency=sample.candidate().latency,
    )  # fmt: skip


def report(*, against="incumbent", overlapping=True, **changed):
    nothing = {"comparison": None, "verdict": None, "disagreements": (), "served_as": None, "latency": None}
    candidates = (
        sample.candidate(
            model=DEARER, method="lora", not_chosen="it suffices as well, and it costs more", **nothing,
            selection=selection(0.01, Decimal("0.9"), against=against),
        ),
        sample.candidate(
            model=CHOSEN, method="as_is", selection=selection(0.0, Decimal("0.2"), against=against), trained=None
        ),
        sample.candidate(model=LOST, method="as_is", stopped="it cannot be reached", **nothing),
        sample.candidate(
            model=UNTRIED, method="as_is", not_chosen="not tried: org/chosen suffices", **nothing, ruling=None,
            fit=None, trained=None, weights=None,
        ),
    )  # fmt: skip
    choice = CandidateChoice(
        rule="The cheapest one whose result suffices.", stop="all", split_samples=96, tried=3, selection=None,
        chosen=f"{CHOSEN} · as_is", why="org/chosen is the cheapest", overlapping=overlapping,
    )  # fmt: skip
    return sample.report(*candidates, choice=choice, **changed)
