"""The report's page: its figures, its first screen, how it was chosen, its words."""

import json
import re
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser

import msgspec
import pytest
from tests.report import choosing
from tests.report import sample_report as sample
from tests.report.sample_full import candidate, full, hostile, standing
from tests.report.sample_mixture import mixture

from freehold.evals.retained import probes
from freehold.report import render, words
from freehold.report.first_screen import (
    NOT_EVIDENCE,
    SelectionPictureRow,
    one_sentence,
    selection_rows,
    validity,
    would_change,
)
from freehold.report.pictures import candidates, curve, interval, mixture_figures, risk_over_share
from freehold.types.gates import TaskResult
from freehold.types.mixture import MixtureCost
from freehold.workflows.prove.retained import compared


def test_everything_stands_on_the_page_and_nothing_leads_elsewhere():
    page = render(sample.report(sample.candidate()))
    for wanted in (
        "Not proven yet", "90.2%", "94.3%", "About 1,400 held-out samples would settle it", "Apache-2.0, 4(d)",
        "Built with it", "not legal advice", "0.09 GiB", "58", "4 min 04 s", "too small to test",
        "keep the NOTICE file", "2 same request again",
    ):  # fmt: skip
        assert wanted in page, wanted
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert "@import" not in page and "url(" not in page
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links and links <= set(re.findall(r'id="([^"]+)"', page))


@pytest.mark.parametrize(
    ("candidates", "wanted"),
    [
        ((), "No candidate was tried"),
        ((sample.candidate(stopped="the licence does not permit it", comparison=None, verdict=None, fit=None,
                           trained=None, ruling=None, latency=None, disagreements=()),), "Could not be tried"),
        ((sample.candidate(comparison=sample.comparison(difference=None, ci_low=None, ci_high=None, incumbent_mean=None,
                                                        notes=("no scored pairs",))),), "no scored pairs"),
        ((sample.candidate(), sample.candidate(model="b/other")), "b/other"),
    ],
)  # fmt: skip
def test_absent_parts_say_why(candidates, wanted):
    assert wanted in render(sample.report(*candidates))


def test_what_it_kept_is_told():
    right = [1.0] * 80
    kept = compared(
        probes(80),
        right,
        [0.0 if one.skill == "chat" else 1.0 for one in probes(80)],
        base="b",
        trained_id="t",
    )
    page = render(sample.report(sample.candidate(retained=kept)))
    assert "chat 20 → 0 of 20 (lost)" in page and kept.id[:8] in page
    task = TaskResult(name="sort-mail", scorer="label", n=20, base_score=0.9, trained_score=0.1, lost=True)
    others = msgspec.structs.replace(kept, tasks=(task,), notes=("rare <b>task</b>: not asked",))
    page = render(sample.report(sample.candidate(retained=others)))
    assert "On other tasks of the log" in page and "sort-mail 90% → 10% of 20 (lost)" in page
    assert "rare &lt;b&gt;task&lt;/b&gt;: not asked" in page
    plain = render(sample.report(sample.candidate()))
    assert "What it kept" not in plain


class Walker(HTMLParser):
    """Collects the text of a page with the records that the nearest marked element around it names."""

    VOID = frozenset({"meta", "br", "img", "rect", "line", "circle", "polyline", "link"})

    def __init__(self):
        super().__init__()
        self.open, self.texts, self.in_style = [], [], 0

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        around = self.open[-1][1] if self.open else None
        if tag not in self.VOID:
            self.open.append((tag, named.get("data-record", around)))
        if "aria-label" in named:
            self.texts.append((named["aria-label"], named.get("data-record", around)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open[-1][0] == tag, (tag, self.open[-1])
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][0] not in ("style", "title"):
            self.texts.append((data, self.open[-1][1]))


def ids_in(value):
    if isinstance(value, dict):
        yield from (one for key, one in value.items() if key in ("id", "sha256") and isinstance(one, str))
        for one in value.values():
            yield from ids_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from ids_in(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("report", [full(), sample.report(sample.candidate()), choosing.report()])
def test_every_figure_has_a_record_that_stands_in_the_json(report):
    walker = Walker()
    walker.feed(render(report))
    assert walker.open == []
    known = set(ids_in(json.loads(msgspec.json.encode(report))))
    figures = [(text, records) for text, records in walker.texts if re.search(r"\d", text)]
    assert len(figures) > 50
    for text, records in figures:
        assert records, f"no record is named for {text.strip()!r}"
        assert set(records.split()) <= known, (text, records)


def test_the_first_screen_says_what_next_and_what_is_not_known():
    page = render(full())
    for wanted in (
        "What next", "freehold import FILE --held-out", "Less than renting", "What would change it", "Valid until",
        "14 January 2027", "4 days old", "one field wrong", "order_id",
    ):  # fmt: skip
        assert wanted in page, wanted
    unknown = {"cost": None, "cost_why_not": "x", "cost_command": "freehold cost --purchase-usd N"}
    page = render(full(standing=standing(rented="rented-1 ends soon.", **unknown)))
    assert "freehold cost --purchase-usd N" in page and "x. rented-1 ends soon." in page


def test_words_of_strangers_are_inert():
    page = render(hostile())
    assert "<script" not in page and "<img" not in page and "onerror=alert(1)&gt;" in page
    assert "Content-Security-Policy" in page and "default-src 'none'" in page
    assert "\x1b" not in page and "\u202e" not in page and "\u0301" * 9 not in page
    assert "99,992 marks more" in page and len(page) < 200_000


def lead(**comparison):
    k = msgspec.structs.replace(sample.comparison(), **comparison)
    return candidate(comparison=k)


def test_one_sentence_has_outcome_difference_ends_margin_and_n():
    assert one_sentence(full(), candidate()) == (
        "Hold: SmolLM2-135M-Instruct scores 4.1 points lower than rented-1 (95% interval −7.5 to −0.8); you accept a "
        "drop of 3; 246 held-out samples."
    )
    equal = one_sentence(full(), lead(difference=0.0004, ci_low=-0.01, ci_high=0.01))
    assert "scores as high as rented-1" in equal


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "About 1,154 more held-out samples would settle it."),
        (
            {"needed_n": None, "ci_low": -0.01, "reasons": ("slice_harm",)},
            "The difference does not stand in the way of a promotion, but this does: a declared slice is harmed.",
        ),
        ({"needed_n": None}, "A candidate that is 4.5 points better on such samples would be promoted."),
        (
            {"verdict": "promote", "ci_low": -0.02, "difference": 0.0},
            "A margin of 2.0 points or less would have made it a hold.",
        ),
        (
            {"verdict": "promote", "ci_low": 0.01, "difference": 0.02},
            "Not a smaller margin: it is better than the incumbent even with a margin of zero.",
        ),
    ],
)
def test_what_would_change_it_is_computed_from_its_figures(changed, sentence):
    assert would_change(lead(**changed))[0].sentence == sentence


def test_it_holds_until_something_ends():
    assert validity(full()) == "14 January 2027: rented-1 is shut down."
    assert "no longer holds: quality: x" in validity(full(standing=standing(invalid=("quality: x",))))
    assert "freehold report checks it" in validity(full(standing=None))
    assert "No end is known" in validity(full(standing=standing(valid_until=None)))
    assert isinstance(standing().valid_until, date)


def test_the_cheapest_comes_first_and_the_proof_apart():
    rows = selection_rows(choosing.report())
    assert [(row.label, row.kind) for row in rows] == [
        ("org/chosen · as_is", "chosen"),
        ("org/dearer · lora", "other"),
        ("org/chosen · as_is", "proof"),
    ]
    assert rows[2].verdict == "hold" and rows[2].needed is None and rows[0].needed == -0.01


def test_the_page_says_the_rule_the_rows_and_why_each_was_not_chosen():
    page = render(choosing.report())
    for wanted in (
        "How it was chosen", "The cheapest one whose result suffices.", "These samples choose and prove nothing",
        "not chosen: it suffices as well", "not tried: org/chosen suffices", "stopped: it cannot be reached",
        "org/chosen · as_is, measured on held-out samples", NOT_EVIDENCE, "$0.2", "candidate, as it is",
    ):  # fmt: skip
        assert wanted in page, wanted
    assert page.index("org/chosen · as_is <span") < page.index("org/dearer · lora <span"), (
        "the proven one first"
    )


def test_what_holds_a_candidate_whose_interval_is_within_the_margin_is_said():
    """A further look, too few items, a harmed slice: the drop was called "neither shown nor ruled out"."""
    held = sample.comparison(verdict="hold", reasons=("repeated_look",), ci_low=-0.01, margin=0.02)
    candidate = sample.candidate(comparison=held)
    text = words.sentence(sample.report(candidate), candidate)
    assert "within the 2 points you accept, but proves nothing: these items were evaluated before" in text
    assert "ruled out" not in text


def test_pictures_of_extremes_stay_inside():
    for low, middle, high in ((-1.0, -0.9, -0.5), (0.0, 0.0, 0.0), (0.2, 0.5, 0.9), (-0.0001, 0, 0.0001)):
        svg = interval(sample.comparison(ci_low=low, difference=middle, ci_high=high))
        assert all(-1 <= float(x) <= 641 for x in re.findall(r'(?:x1|x2|cx)="([-\d.]+)"', svg))
    assert curve([(1, 0.5)]) == ""
    assert "polyline" in curve([(0, 0.0), (1, 0.0)])


@pytest.mark.parametrize(
    ("verdict", "said"), [("promote", "proven"), ("hold", "measured"), ("reject", "measured")]
)
def test_only_what_was_promoted_is_called_proven(verdict, said):
    row = SelectionPictureRow("org/one", "proof", -0.05, -0.02, 0.01, verdict=verdict)
    assert f"org/one, {said} on held-out samples" in candidates([row], 0.03)


def test_the_picture_has_band_margin_random_line_and_proof_within_its_frame():
    made = mixture()
    drawn = risk_over_share(made, made.curves[0])
    assert drawn.count("<polygon") == 1, "the band of the curve"
    assert "worst you accept" in drawn and ">−3.0<" in drawn and "random split" in drawn
    assert drawn.count('class="interval promote"') == 21, "every share that was tested"
    assert drawn.count('class="dot promote"') == 1
    made = mixture()
    lines = re.findall(r'points="([^"]+)"', risk_over_share(made, made.curves[0]))
    for pair in re.findall(r"(-?[\d.]+),(-?[\d.]+)", " ".join(lines)):
        assert 0 <= float(pair[0]) <= 640 and 0 <= float(pair[1]) <= 320


def test_figures_have_dollars_and_the_date_and_say_what_is_not_known_and_what_open_models_alone_answer():
    told = dict(mixture_figures(mixture()))
    assert told["mixture"] == "$1.27 per 1,000 requests" and told["saved a month"] == "$123.40"
    assert told["answered here"] == "50.0%, between 46.0% and 54.0%"
    assert told["incumbent until"] == "2027-03-01"
    uncounted = MixtureCost(incumbent_usd=Decimal("2.5"), mixture_usd=Decimal("1.27"))
    assert dict(mixture_figures(mixture(cost=uncounted)))["saved a month"] == "not known"
    told = dict(mixture_figures(mixture()))["open models alone"]
    assert "not known" in told and "[defer] upper" in told
    made = mixture(upper="house/qwen")
    assert dict(mixture_figures(made))["open models alone"] == (
        "all requests: 50.0% by the candidate, 50.0% by house/qwen"
    )
    assert "rented-1 is not needed" in made.sentence
    lost = mixture(upper="house/qwen", losses=100)
    assert "none is proven" in dict(mixture_figures(lost))["open models alone"]
