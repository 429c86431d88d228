"""What was promoted is what is shown: a figure is the same in the report, the console, the terminal, Python and MCP."""

import re
from datetime import timedelta

import msgspec
import pytest
from tests.report import choosing, sample_mixture
from tests.report import sample_full as full
from tests.workflows.tell.test_project_facts import ROUTE, TERMS
from tests.workflows.tell.views import evidence

from freehold.agents.mcp.answers import Answers
from freehold.api.project import FreeholdProject
from freehold.cli.migrate import comparison_rows
from freehold.console.screens import SCREENS
from freehold.costs.decision import money
from freehold.report import render, render_markdown, words
from freehold.report.first_screen import tiles
from freehold.store import open_store
from freehold.types.trace import Usage
from freehold.types.verdict import Reason
from freehold.workflows.choose.assess import assess
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.tell.project_facts import journey_of_project
from freehold.workflows.tell.report import with_standing

MODEL = "Qwen/Qwen3-0.6B"

UNCLEAR = Reason(
    code="license_unclear", text="The licence leaves it open.", record_id="a" * 32, effect="hold"
)


@pytest.fixture(params=["mixture", "alone", "rolled back", "held"])
def told(request, tmp_path):
    """A project with a verdict, its report, and the comparison that the verdict rests on."""
    held = request.param == "held"
    (tmp_path / "freehold.toml").write_text(evidence.TOML)
    project = evidence.project_of(tmp_path, evidence.TOML)
    with open_store(project.store_url) as store:
        found = evidence.results(400, losses=0.0)._replace(candidate_name=MODEL)
        made = evidence.evaluated(project, store, found)
        mixture = sample_mixture.mixture(candidate=made.candidate, incumbent="gpt-4o-2024-08-06")
        if request.param == "alone":
            mixture = msgspec.structs.replace(mixture, rule=None, alone=True)
        elif held:
            mixture = sample_mixture.refused()
        else:
            store.put(mixture)
        report = choosing.report()
        chosen = report.candidates[1]
        verdict = msgspec.structs.replace(
            chosen.verdict,
            outcome="hold" if held else "promote",
            reasons=(UNCLEAR,) if held else chosen.verdict.reasons,
            made_from=(made.comparison.id, mixture.id),
            mixture_id=mixture.id if mixture.is_proven else None,
        )
        chosen = msgspec.structs.replace(
            chosen, model=made.candidate, comparison=made.comparison, measured=made.measured, mixture=mixture,
            verdict=verdict,
        )  # fmt: skip
        choice = msgspec.structs.replace(report.choice, chosen=chosen.label)
        report = msgspec.structs.replace(
            report, candidates=(report.candidates[0], chosen), choice=choice, app="helpdesk"
        )
        store.put(verdict)
        store.put(report)
        if request.param == "rolled back":
            rollout.start(store, ROUTE, TERMS, who="t", at=evidence.AT)
            rollout.rollback(store, "helpdesk", who="t", at=evidence.AT, why="complaints")
    return project, report, (mixture.comparison if mixture.is_proven else made.comparison)


def percents(text):
    return [float(one) for one in re.findall(r"(\d+\.\d)%", text)]


def test_every_surface_has_the_figures_of_what_was_promoted(told):
    project, report, proof = told
    lead = report.chosen
    score, difference = 100 * proof.candidate_mean, 100 * proof.difference
    assert lead.proof is proof and lead.score == proof.candidate_mean

    # The terminal at the end of migrate, and what an agent gets of it.
    rows = comparison_rows(lead)
    assert percents(rows[0][1]) == [round(100 * proof.incumbent_mean, 1)]
    assert percents(rows[1][1]) == [round(score, 1)]
    assert dict(rows)["difference"].startswith(f"{difference:+.1f} points")

    # The report: its table in both formats, the large figures, the sentence.
    page, text = render(report), render_markdown(report).replace("\\", "")
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {MODEL}")]
    assert percents(line) == [round(score, 1)] and f"| {words.points(proof.difference)} |" in line
    large = re.findall(r'<div class="score"><span>(.*?)</span><b>(.*?)</b>', page)
    assert large[1][1] == f"{score:.1f}%", large
    assert f"{abs(difference):.1f} points {'lower' if difference < 0 else 'higher'} than" in page

    # The console, assess and Python.
    with open_store(project.store_url) as store:
        screens = {
            name: SCREENS[name].view(project, store, SCREENS[name].query(), at=evidence.AT)
            for name in ("proof", "cost", "overview")
        }
    assert screens["proof"].detail.verdict.mixture_id == lead.verdict.mixture_id
    outcome = lead.verdict.outcome
    assert ("freehold rollout start" in str(screens["proof"].detail.ways_out)) == (outcome == "promote")
    shown = {one.kind: one.middle for one in screens["proof"].intervals if one.verdict == proof.verdict}
    assert shown["mixture" if lead.is_mixture else "proof"] == proof.difference
    (row,) = assess(project, machine_spec="l4", models=(MODEL,)).rows
    rest = f" with {lead.mixture.incumbent} as fallback" if lead.is_mixture else ""
    assert row.measured_score == proof.candidate_mean
    word = {"promote": "promoted", "hold": "not promoted"}[outcome]
    assert row.measured.startswith(f"measured here: {word}{rest}, {proof.candidate_mean:.3f} against")
    (found,) = [one for one in FreeholdProject(project).report().candidates if one.label == lead.label]
    assert (found.proof, found.score) == (proof, proof.candidate_mean)
    assert Answers().document(lead.proof)["candidate_mean"] == float(f"{proof.candidate_mean:.6g}")


def test_a_month_costs_the_same_wherever_it_is_told(told):
    """Bill, end, replacement, holding, and holding with a fallback: terminal, console, Python, MCP and the report."""
    pytest.importorskip("genai_prices", reason="needs the extra 'costs'")
    project, report, _ = told
    with open_store(project.store_url) as store:
        store.add_traces(
            msgspec.structs.replace(
                evidence.trace(number, f"where is parcel {number}"),
                at=evidence.AT - timedelta(hours=number),
                usage=Usage(prompt_tokens=400, completion_tokens=5),
            )
            for number in range(48)
        )
        view = SCREENS["cost"].view
        shown = view(project, store, SCREENS["cost"].query(machine="l4"), at=evidence.AT)
        unpriced = view(project, store, SCREENS["cost"].query(machine="a30"), at=evidence.AT)
    cost = FreeholdProject(project).cost(machine="l4")
    assert shown.weighed == cost and cost.self_host.model == MODEL
    assert (cost.with_fallback is not None) == report.chosen.is_mixture
    assert shown.rented == unpriced.rented == journey_of_project(project, at=evidence.AT).rented
    assert cost.sentence.startswith(shown.rented) and cost.ending.replacement in shown.rented
    standing = msgspec.structs.replace(full.standing(), cost=cost)
    tile = tiles(msgspec.structs.replace(report, standing=standing), report.chosen)[2]
    for one in (cost.bill.usd_per_month, cost.replacement.usd_per_month, cost.self_host.usd_per_month):
        assert money(one) in tile.detail and money(one) in cost.sentence
    if cost.with_fallback is not None:
        assert tile.detail.endswith(f"held with it as fallback {money(cost.with_fallback)}")
        assert f"as fallback {money(cost.with_fallback)}" in cost.sentence


def test_the_next_step_is_the_same_wherever_it_is_told(told):
    project, report, _ = told
    state = journey_of_project(project, at=evidence.AT)
    with open_store(project.store_url) as store:
        standing = with_standing(project, store, report, at=evidence.AT).standing
        shown = SCREENS["overview"].view(project, store, SCREENS["overview"].query(), at=evidence.AT).journey
    part = [one for one in state.warnings if "the rest" in one]
    assert part == ([] if standing.of_fallback is None else [standing.of_fallback])
    page = render(msgspec.structs.replace(report, standing=standing))
    assert bool(part) == (report.chosen.is_mixture and state.stage != "rolled_back")
    assert all(one in page for one in part)
    for one in (standing, shown):
        assert (one.stage, one.next, one.retires, one.days_left) == (
            state.stage, state.next, state.retires, state.days_left,
        )  # fmt: skip


def test_dollars_are_those_of_all_requests(told):
    project, report, _ = told
    lead = report.chosen
    wanted = lead.mixture.cost.mixture_usd if lead.is_mixture else lead.selection.cost.usd_per_1000
    assert lead.cost.usd_per_1000 == wanted
    with open_store(project.store_url) as store:
        rows = SCREENS["cost"].view(project, store, SCREENS["cost"].query(), at=evidence.AT).candidates
    (row,) = [one for one in rows if one.label.startswith(lead.label)]
    assert row.cost.usd_per_1000 == wanted
    assert ("as fallback" in row.label) == lead.is_mixture
