"""What the first screen says (a sentence, the intervals, three tiles, what would change it, how long it holds), and the
candidates side by side: what each did on the selection split, what it costs, and the proofs apart."""

from __future__ import annotations

from typing import Literal, NamedTuple

from freehold.costs.decision import money
from freehold.report import words
from freehold.types.evaluation import SliceResult
from freehold.types.journey import OtherWay
from freehold.types.report import CandidateReport, Report
from freehold.verdict.reasons import REASONS

NOT_EVIDENCE = "The ranking of these is not evidence: their intervals overlap."
CHOSEN_BY = (
    "These samples choose and prove nothing: the candidate that looks best on them is partly lucky. The proof is the "
    "comparison on the held-out samples."
)

NO_INCUMBENT = (
    "The incumbent has no answers on these samples, so candidates were compared with what is right: as if it never "
    "erred. freehold freeze --split validation records them."
)


class SelectionPictureRow(NamedTuple):
    """An interval of a difference to the incumbent. `kind` is ``proof`` for held-out samples, ``chosen`` or ``other``
    for the selection split; `needed` is the difference from which on a candidate suffices."""

    label: str
    kind: str
    low: float
    middle: float
    high: float
    needed: float | None = None
    verdict: str = ""


def selection_rows(report: Report) -> list[SelectionPictureRow]:
    """The rows of the picture: candidates by their cost, then the proof; empty where nothing was chosen."""
    if report.choice is None:
        return []
    chosen = report.chosen
    rows = []
    for one in by_cost(report):
        found = one.selection
        if found is None or found.difference is None or found.ci_low is None or found.ci_high is None:
            continue
        kind = "chosen" if one is chosen else "other"
        rows.append(
            SelectionPictureRow(one.label, kind, found.ci_low, found.difference, found.ci_high, found.needed)
        )
    proven = [one for one in report.candidates if one.proof is not None]
    for one in sorted(proven, key=lambda one: one is chosen):
        rows += proof_rows(one)
    return rows


def proof_rows(candidate: CandidateReport) -> list[SelectionPictureRow]:
    """The row of what was proven of it; none without."""
    k = candidate.proof
    if k is None or k.ci_low is None or k.difference is None or k.ci_high is None:
        return []
    label = f"{candidate.label} + {k.incumbent}" if candidate.is_mixture else candidate.label
    return [SelectionPictureRow(label, "proof", k.ci_low, k.difference, k.ci_high, verdict=k.verdict)]


def by_cost(report: Report) -> list[CandidateReport]:
    """The candidates that were measured on the selection split, the cheapest first; those of unknown cost last."""

    def rank(one: CandidateReport) -> tuple[bool, float]:
        cost = one.selection.cost if one.selection is not None else None
        usd = None if cost is None else cost.usd_per_1000
        return usd is None, 0.0 if usd is None else float(usd)

    return sorted((one for one in report.candidates if one.selection is not None), key=rank)


def against_right(report: Report) -> bool:
    """Whether candidates were compared with what is right, for want of the incumbent's answers."""
    return any(one.selection is not None and one.selection.against == "right" for one in report.candidates)


def not_measured(report: Report) -> list[CandidateReport]:
    """The candidates that were not: they could not be made, or a cheaper one sufficed."""
    return [one for one in report.candidates if one.selection is None]


MOST_ROWS = 6
Tone = Literal["promote", "hold", "reject", "soft"]


class Tile(NamedTuple):
    """A question with its answer, and the ids of the records it is from. `command` is how to know it, where it is not
    known."""

    question: str
    answer: str
    detail: str
    tone: Tone
    records: tuple[str, ...]
    command: str | None = None


def one_sentence(report: Report, candidate: CandidateReport) -> str:
    """Outcome, difference with both ends, margin and n in one sentence."""
    k = candidate.proof
    if k is None or k.difference is None or k.ci_low is None or k.ci_high is None:
        return words.sentence(report, candidate)
    incumbent = report.incumbent or "the incumbent"
    what, whose = words.short(candidate), incumbent
    if candidate.is_mixture:
        what, whose = f"{what}, with {incumbent} as fallback,", f"{incumbent} alone"
    gap = f"{abs(100 * k.difference):.1f} points {'lower' if k.difference < 0 else 'higher'} than"
    if round(abs(100 * k.difference), 1) == 0:
        gap = "as high as"
    samples = f"{k.n:,} held-out sample{'' if k.n == 1 else 's'}"
    return (
        f"{words.OUTCOMES[words.outcome(candidate)]}: {what} scores {gap} {whose} "
        f"({100 * k.level:.3g}% interval {words.points(k.ci_low)} to {words.points(k.ci_high)}); you accept "
        f"a drop of {100 * k.margin:g}; {samples}."
    )


def interval_rows(report: Report) -> list[SelectionPictureRow]:
    """The rows of the picture: candidates on the selection split, then what was proven. At most `MOST_ROWS`, the proof
    among them."""
    rows = selection_rows(report)
    if not rows:
        rows = [row for one in report.candidates for row in proof_rows(one)]
    proofs = [row for row in rows if row.kind == "proof"]
    chosen = [row for row in rows if row.kind == "chosen"]
    others = [row for row in rows if row.kind == "other"]
    return [*others[: max(0, MOST_ROWS - len(proofs) - len(chosen))], *chosen, *proofs][:MOST_ROWS]


def tiles(report: Report, lead: CandidateReport | None) -> tuple[Tile, Tile, Tile]:
    """May it be used, does it fit, what does it cost."""
    return _may_we(lead), _fits(lead), _money(report, lead)


def _may_we(lead: CandidateReport | None) -> Tile:
    question = "May it be used?"
    if lead is None or lead.ruling is None:
        return Tile(question, "not known", "no ruling was made", "soft", (), "freehold license")
    ruling = lead.ruling
    answer, tone = {
        "allowed": ("Yes", "promote"),
        "allowed_with_obligations": ("Yes, with duties", "promote"),
        "not_allowed": ("No", "reject"),
        "needs_separate_license": ("Not without a licence", "hold"),
        "unclear": ("Unclear", "hold"),
    }[ruling.outcome]
    named = ", ".join(ruling.licenses) or "no known licence"
    duties = sum(not (one.recommended or one.passive) for one in ruling.obligations)
    detail = f"{named}; {duties} dut{'y' if duties == 1 else 'ies'}" if duties else named
    return Tile(question, answer, detail, tone, (ruling.id,))  # type: ignore[arg-type]


def _fits(lead: CandidateReport | None) -> Tile:
    question = "Does it fit?"
    if lead is not None and lead.endpoint is not None:
        return Tile(question, "Runs elsewhere", f"behind the endpoint {lead.endpoint}", "soft", ())
    if lead is None or lead.fit is None:
        return Tile(question, "not known", "memory was not checked", "soft", (), "freehold fit")
    fit = lead.fit
    detail = f"{words.gib(fit.total_bytes)} of {words.gib(fit.available_bytes)} on {fit.machine}"
    return Tile(question, "Yes" if fit.fits else "No", detail, "promote" if fit.fits else "reject", (fit.id,))


def _money(report: Report, lead: CandidateReport | None) -> Tile:
    question = "What does it cost?"
    standing = report.standing
    cost = None if standing is None else standing.cost
    if cost is not None:
        answer = {"leave": "Less than renting", "stay": "More than renting", "undecided": "Not decidable"}[
            cost.advice
        ]
        tone: Tone = "promote" if cost.advice == "leave" else "hold"
        detail = f"a month: rented {money(cost.bill.usd_per_month)}"
        if cost.replacement is not None:
            named = cost.replacement
            detail += f", {named.model} in its place {money(named.usd_per_month)}"
        detail += f", held {money(cost.self_host.usd_per_month)}"
        if cost.with_fallback is not None:
            detail += f", held with it as fallback {money(cost.with_fallback)}"
        return Tile(question, answer, detail, tone, (cost.id,))
    today = "" if standing is None or standing.rented is None else f". {standing.rented}"
    mixture = None if lead is None else lead.mixture
    saved = None if mixture is None or mixture.cost is None else mixture.cost.saved_per_month
    if mixture is not None and mixture.is_proven and saved is not None:
        detail = f"{'saved' if saved >= 0 else 'more'} a month{today}"
        return Tile(
            question, f"${abs(saved):,.0f}", detail, "promote" if saved >= 0 else "hold", (mixture.id,)
        )
    one = None if lead is None else lead.cost
    if one is not None and one.usd_per_1000 is not None:
        detail = f"for 1,000 requests{today}"
        return Tile(question, words.usd(one), detail, "soft", (report.id,), "freehold cost")
    if one is not None and mixture is not None:
        why = f"{one.why.partition(';')[0]}{today}"
        return Tile(question, "not known", why, "soft", (mixture.id,), "freehold cost")
    why = "the traffic is not known" if standing is None else standing.cost_why_not or "not asked"
    command = "freehold cost" if standing is None else standing.cost_command
    return Tile(question, "not known", f"{why}{today}", "soft", (), command)


def would_change(lead: CandidateReport | None) -> tuple[OtherWay, ...]:
    """What would turn the outcome, from the figures it rests on, each with a command."""
    if lead is None:
        return ()
    found: list[OtherWay] = []
    k = lead.proof
    verdict = lead.verdict
    promoted = verdict is not None and verdict.outcome == "promote"
    if k is not None and k.ci_low is not None and k.difference is not None:
        if k.verdict == "promote":
            worst = max(0.0, -k.ci_low)
            found.append(
                OtherWay(
                    sentence=f"A margin of {100 * worst:.1f} points or less would have made it a hold."
                    if worst
                    else "Not a smaller margin: it is better than the incumbent even with a margin of zero.",
                    command="freehold report --evaluations",
                )
            )
        elif k.needed_n is not None and k.needed_n > k.n:
            found.append(
                OtherWay(
                    sentence=f"About {k.needed_n - k.n:,} more held-out samples would settle it.",
                    command="freehold import FILE --held-out",
                )
            )
        elif k.ci_low > -k.margin:
            held = "; ".join(REASONS.get(code, code) for code in k.reasons)
            found.append(
                OtherWay(
                    sentence=f"The difference does not stand in the way of a promotion, but this does: {held}.",
                    command="freehold report --evaluations",
                )
            )
        else:
            gain = -k.margin - k.ci_low
            found.append(
                OtherWay(
                    sentence=f"A candidate that is {100 * gain:.1f} points better on such samples would be promoted.",
                    command="freehold assess --write 3",
                )
            )
    if (
        lead.ruling is not None
        and not promoted
        and lead.ruling.outcome not in ("allowed", "allowed_with_obligations")
    ):
        found.append(
            OtherWay(
                sentence=(lead.ruling.would_change or ("Another licence, or another use of it.",))[0],
                command="freehold license",
            )
        )
    if lead.fit is not None and not lead.fit.fits:
        found.append(
            OtherWay(
                sentence="A larger machine, or a smaller quantization.", command="freehold fit MODEL --quants"
            )
        )
    if promoted:
        found.append(
            OtherWay(
                sentence="Another dataset, task, adapter, prompt or engine: the proof covers only this combination.",
                command="freehold status",
            )
        )
    return tuple(found)


def validity(report: Report) -> str:
    """How long it holds, in a sentence."""
    standing = report.standing
    if standing is None:
        return "How long this holds was not checked: freehold report checks it."
    if standing.invalid:
        return f"It no longer holds: {'; '.join(standing.invalid)}."
    if standing.valid_until is None:
        return "No end is known: evidence of this report has no age, and the incumbent no date."
    return f"{standing.valid_until:%-d %B %Y}: {standing.valid_why}."


def worst_slice(candidate: CandidateReport) -> SliceResult | None:
    """The slice that was tested and lost most; None where none was."""
    k = candidate.proof
    tested = [] if k is None else [one for one in k.slices if one.p_harm is not None]
    return tested[0] if tested else None


def calibration(candidate: CandidateReport) -> str:
    """How far its own confidence can be believed."""
    mixture, encoder = candidate.mixture, candidate.encoder
    if mixture is not None and mixture.curve is not None:
        best = mixture.curve
        return (
            f"a good answer gets a higher confidence ({best.signal.replace('_', ' ')}) than another one in "
            f"{words.percent(best.auroc)} of pairs, on {best.n:,} samples"
        )
    if encoder is not None and encoder.calibration_error is not None:
        return (
            f"its confidence differs from the share of right answers by {words.percent(encoder.calibration_error)} on "
            f"average, on {encoder.validation_asked:,} samples"
        )
    return "not measured: no fallback was planned ([defer])"


def baseline(candidate: CandidateReport) -> str | None:
    """What it has over a linear head on words, which ten lines of any program make; None where that was not tried."""
    encoder = candidate.encoder
    stages = {} if encoder is None else {one.stage: one for one in encoder.stages}
    if encoder is None or (words_alone := stages.get("words")) is None or not encoder.validation_asked:
        return None
    best, alone = (one.right / one.asked for one in (stages.get(encoder.stage, words_alone), words_alone))
    return (
        f"{words.percent(best)} of {words_alone.asked:,} samples left out; words alone, tf-idf and a linear head, "
        f"have {words.percent(alone)}: {100 * (best - alone):+.1f} points"
    )


def ids(candidate: CandidateReport) -> list[str]:
    """The records that the risks are from."""
    records = (
        candidate.proof, candidate.retained, candidate.mixture, candidate.encoder, candidate.parity,
        candidate.verdict,
    )  # fmt: skip
    return [one.id for one in records if one is not None]
