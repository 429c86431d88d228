"""Records as a notebook shows them."""

import freehold
from freehold.report.notebook import html
from freehold.types.verdict import Reason, Verdict

PAIRS = [(1, 1)] * 180 + [(1, 0)] * 5 + [(0, 1)] * 15


def test_an_interval_stands_against_the_margin():
    shown = freehold.compare(PAIRS, margin=0.05)._repr_html_()
    assert '<span class="pill promote">promote</span>' in shown
    assert "<svg" in shown and "interval promote" in shown and "worst you accept" in shown
    assert "90.0%" not in shown and "92.5%" in shown and "97.5%" in shown


def test_memory_is_a_bar_with_its_parts():
    shown = freehold.fit("google/gemma-3-270m", machine="L4")._repr_html_()
    assert 'class="picture bar"' in shown and "fits" in shown and "<td>total</td>" in shown
    assert (
        "does not fit"
        in freehold.fit("google/gemma-3-27b-it", machine="RTX 4090", concurrency=64)._repr_html_()
    )


def test_a_ruling_says_what_must_be_done():
    shown = freehold.license("google/gemma-3-270m", use={"mode": "distribute_weights"})._repr_html_()
    assert "allowed with obligations" in shown and "what must be done:" in shown
    assert '<span class="pill hold">unclear</span>' in freehold.license("nobody/mystery")._repr_html_()


def test_plans_and_costs_begin_with_their_sentence():
    plan = freehold.power(0.02, n=500)
    assert plan.sentence in plan._repr_html_() and "power at 500" in plan._repr_html_()
    cost = freehold.cost(
        "Qwen/Qwen3-8B", incumbent="gpt-4o", machine="L4", requests_per_month=1000, prompt_tokens=10,
        completion_tokens=10,
    )  # fmt: skip
    assert cost._repr_html_().count("<li>") == len(cost.reasons)


def test_what_others_wrote_cannot_become_markup():
    evil = "<script>alert(1)</script>\x1b[31m"
    verdict = Verdict(
        id="1", outcome="hold", candidate=evil, incumbent=evil, reasons=(Reason(code="x", text=evil),),
        conditions=(evil,),
    )  # fmt: skip
    shown = html(verdict)
    assert "<script" not in shown and "\x1b" not in shown and "&lt;script&gt;" in shown
