import json
import re
from html.parser import HTMLParser

import msgspec
import pytest
from tests.report import choosing
from tests.report import sample_report as sample
from tests.report.sample_full import candidate, full, hostile, standing

from freehold.evals.retained import probes
from freehold.report import render
from freehold.types.evaluated import Measured
from freehold.types.leak import LeakRate, LeakReport
from freehold.types.retained import TaskResult
from freehold.workflows.prove.retained import compared


def test_everything_stands_on_the_page():
    page = render(sample.report(sample.candidate()))
    for wanted in (
        "Not proven yet", "90.2%", "94.3%", "About 1,400 held-out samples would settle it", "Apache-2.0, 4(d)",
        "Built with it", "not legal advice", "0.09 GiB", "58", "4 min 04 s", "too small to test",
        "keep the NOTICE file", "2 same request again",
    ):  # fmt: skip
        assert wanted in page, wanted


def test_the_data_card_in_short_is_on_the_page():
    page = render(
        sample.report(sample.candidate(), data=("email: 3 replaced in 2 samples", "<b>their</b> terms"))
    )
    assert "email: 3 replaced in 2 samples" in page and "&lt;b&gt;their" in page


def test_hostile_text_is_escaped():
    page = render(sample.report(sample.candidate(), app=sample.HOSTILE))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "{{7*7}}" in page


def test_nothing_is_fetched_from_elsewhere():
    page = render(sample.report(sample.candidate()))
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert "@import" not in page and "url(" not in page


def test_every_reference_has_its_target():
    page = render(sample.report(sample.candidate()))
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


def test_a_score_without_an_incumbent_is_told_as_such():
    measured = Measured(n=3080, mean=0.921, ci_low=0.911, ci_high=0.93, level=0.95, method="wilson")
    page = render(sample.report(sample.candidate(comparison=None, verdict=None, measured=measured)))
    assert "Measured, not compared" in page
    assert "between 91.1% and 93.0%" in page


def test_what_it_kept_and_what_can_be_got_out_of_it_are_told():
    right = [1.0] * 80
    kept = compared(
        probes(80),
        right,
        [0.0 if one.skill == "chat" else 1.0 for one in probes(80)],
        base="b",
        trained_id="t",
    )
    rate = LeakRate(what="planted 4 times", secrets=8, extracted=3, by_base=0, ci_low=0.137, ci_high=0.694)
    leaks = LeakReport(id="leak", base_model="b", dataset_id="d", trained_id="t", attempts=5, rates=(rate,))
    page = render(sample.report(sample.candidate(retained=kept, leak=leaks)))
    assert "chat 20 → 0 of 20 (lost)" in page and kept.id[:8] in page
    assert "planted 4 times: 3 of 8 (37.5%, 95 % interval 13.7 to 69.4 %)" in page
    task = TaskResult(name="sort-mail", scorer="label", n=20, base_score=0.9, trained_score=0.1, lost=True)
    others = msgspec.structs.replace(kept, tasks=(task,), notes=("rare <b>task</b>: not asked",))
    page = render(sample.report(sample.candidate(retained=others)))
    assert "On other tasks of the log" in page and "sort-mail 90% → 10% of 20 (lost)" in page
    assert "rare &lt;b&gt;task&lt;/b&gt;: not asked" in page
    plain = render(sample.report(sample.candidate()))
    assert "What it kept" not in plain and "got out of it" not in plain


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
        "What next", "freehold import FILE --held-out", "Less than today", "What would change it", "Valid until",
        "14 January 2027", "4 days old", "one field wrong", "order_id",
    ):  # fmt: skip
        assert wanted in page, wanted
    assert "freehold cost --owned" in render(
        full(standing=standing(cost=None, cost_why_not="x", cost_command="freehold cost --owned"))
    )


def test_reasons_that_are_fine_do_not_stand_under_why():
    page = render(full())
    why = page[page.index("Why hold") : page.index("Also looked at")]
    assert "Not proven." in why and "The licence allows this use." not in why
    assert "The licence allows this use." in page


def test_slices_stand_worst_first():
    k = sample.comparison()
    wild = msgspec.structs.replace(
        k.slices[1], name="language = sv", ci_low=-0.8, ci_high=0.1, difference=-0.4
    )
    page = render(
        sample.report(sample.candidate(comparison=msgspec.structs.replace(k, slices=(*k.slices, wild))))
    )
    assert page.index("language = sv<") < page.index("language = de<") < page.index("language = en<")


def test_words_of_strangers_are_inert():
    page = render(hostile())
    assert "<script" not in page and "<img" not in page and "onerror=alert(1)&gt;" in page
    assert "Content-Security-Policy" in page and "default-src 'none'" in page
    assert "\x1b" not in page and "\u202e" not in page and "\u0301" * 9 not in page
    assert "99,992 marks more" in page and len(page) < 200_000


def test_it_is_small():
    many = tuple(sample.candidate().disagreements[1:] * 50)
    assert len(render(full(candidates=(candidate(disagreements=many),))).encode()) < 2 * 2**20
