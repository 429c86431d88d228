"""A mixture as one page: the sentence, the curve of each signal, and where every figure comes from."""

from __future__ import annotations

from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from freehold.report import words
from freehold.report.mixture_picture import best_curve as best_curve
from freehold.report.mixture_picture import risk_over_share, shown_points
from freehold.types.mixture import Mixture, MixtureCurve


def render_mixture(mixture: Mixture) -> str:
    """One self-contained HTML page."""
    best = best_curve(mixture)
    drawn = [one for one in mixture.curves if one.points]
    return _template().render(
        m=mixture,
        headline=headline(mixture),
        best=best,
        curves=sorted(drawn, key=lambda one: one is not best),
        named=curve_name,
        shown=shown_points,
        picture=lambda *given: Markup(risk_over_share(*given)),
        figures=mixture_figures(mixture),
        notes=(*mixture.notes, *(() if mixture.comparison is None else mixture.comparison.notes)),
        style=Markup(_text("style.css")),
        word=words,
    )


def headline(mixture: Mixture) -> str:
    """What came out, in a few words."""
    if mixture.is_proven:
        return "Safe to move in part"
    if mixture.comparison is None:
        return "No mixture"
    return "Stay on the incumbent" if mixture.outcome == "reject" else "Not proven yet"


def curve_name(curve: MixtureCurve) -> str:
    """How it decides, in words."""
    if curve.signal == "similarity":
        return "By the request's likeness to training messages"
    if curve.way == "router":
        return "By a router that reads the request"
    return f"By the answer's {curve.signal.replace('_', ' ')}"


def mixture_figures(mixture: Mixture) -> list[tuple[str, str]]:
    """Rows of names and values: share, difference, dollars, times. What is not known is said so."""
    rows: list[tuple[str, str]] = []
    k, rule = mixture.comparison, mixture.rule
    if rule is not None:
        rows.append(
            (
                "decided by",
                f"{rule.signal.replace('_', ' ')} ({rule.way}), from a calibrated {rule.threshold:.3f} on",
            )
        )
    if k is not None:
        rows += [
            (
                "answered here",
                f"{words.percent(mixture.share)}, between {words.percent(mixture.share_low)} and "
                f"{words.percent(mixture.share_high)}",
            ),
            (
                "difference",
                f"{words.points(k.difference)} points, between {words.points(k.ci_low)} and {words.points(k.ci_high)} "
                f"(margin {words.points(-k.margin)}), n = {k.n:,}",
            ),
        ]
    cost = mixture.cost
    if cost is not None:
        rows += [
            (name, words.ABSENT if usd is None else f"${usd:,f} per 1,000 requests")
            for name, usd in (
                ("incumbent alone", cost.incumbent_usd),
                ("mixture", cost.mixture_usd),
                ("saved", cost.saved_usd),
            )
        ]
        month = mixture.usd_saved_per_month
        rows.append(("saved a month", words.ABSENT if month is None else f"${month:,.2f}"))
        rows += [("", why) for why in cost.why]
    times = mixture.latency
    if times is not None:
        rows += [
            (name, f"{words.milliseconds(p50)} for half, {words.milliseconds(p95)} for 95%")
            for name, p50, p95 in (
                ("router's decision", times.decided_p50_ms, times.decided_p95_ms),
                ("an answer from here", times.here_p50_ms, times.here_p95_ms),
                ("added to a deferred one", times.deferred_p50_ms, times.deferred_p95_ms),
                ("incumbent, as recorded", times.incumbent_p50_ms, times.incumbent_p95_ms),
            )
            if p50 is not None
        ]
    if mixture.incumbent_until is not None:
        rows.append(("incumbent until", f"{mixture.incumbent_until}"))
    rows.append(("open models alone", _by_open_models(mixture)))
    return rows


def _by_open_models(mixture: Mixture) -> str:
    """What share is answered if only models of one's own may be used."""
    if mixture.upper is None:
        return (
            f"not known: all that the candidate is not sure of is {mixture.incumbent}'s, and no larger model of your "
            "own was measured in its place ([defer] upper)"
        )
    if mixture.rule is None or mixture.comparison is None:
        return f"not known: the mixture with {mixture.upper} was not looked at"
    kept = " but those declared always_incumbent" if mixture.rule.always_incumbent else ""
    if not mixture.is_proven:
        return f"none is proven: see the difference with {mixture.upper} above"
    share, rest = words.percent(mixture.share), words.percent(1 - (mixture.share or 0.0))
    return f"all requests{kept}: {share} by the candidate, {rest} by {mixture.upper}"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_text("mixture.html"))


@cache
def _text(name: str) -> str:
    return (resources.files("freehold.report") / "templates" / name).read_text(encoding="utf-8")
