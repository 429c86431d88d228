"""What was promoted is what is shown: a figure is the same in the report, the console, the terminal, Python and MCP."""

import re

import msgspec
import pytest
from tests.report import choosing, sample_mixture
from tests.workflows.tell.views import evidence

from freehold.agents.mcp.answers import Answers
from freehold.api.project import FreeholdProject
from freehold.cli.journey.migrate import comparison_rows
from freehold.console.screens import SCREENS
from freehold.report import render, render_markdown, words
from freehold.store import open_store
from freehold.workflows.choose.assess import assess

MODEL = "Qwen/Qwen3-0.6B"


@pytest.fixture(params=["mixture", "alone"])
def told(request, tmp_path):
    """A project whose report promotes, its report, and the comparison that the verdict rests on."""
    (tmp_path / "freehold.toml").write_text(evidence.TOML)
    project = evidence.project_of(tmp_path, evidence.TOML)
    with open_store(project.store_url) as store:
        found = evidence.results(400, losses=0.0)._replace(candidate_name=MODEL)
        made = evidence.evaluated(project, store, found)
        mixture = sample_mixture.mixture(candidate=made.candidate)
        if request.param == "alone":
            mixture = msgspec.structs.replace(mixture, rule=None, alone=True)
        else:
            store.put(mixture)
        report = choosing.report()
        chosen = report.candidates[1]
        verdict = msgspec.structs.replace(
            chosen.verdict,
            outcome="promote",
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
    assert f"{abs(difference):.1f} points {'below' if difference < 0 else 'above'}" in page

    # The console, assess and Python.
    with open_store(project.store_url) as store:
        screens = {
            name: SCREENS[name].view(project, store, SCREENS[name].query(), at=evidence.AT)
            for name in ("proof", "cost", "overview")
        }
    assert screens["proof"].detail.verdict.mixture_id == lead.verdict.mixture_id
    assert [one.command for one in screens["proof"].detail.ways_out] == ["freehold rollout start"]
    shown = {one.kind: one.middle for one in screens["proof"].intervals if one.verdict == "promote"}
    assert shown["mixture" if lead.is_mixture else "proof"] == proof.difference
    (row,) = assess(project, machine_spec="l4", models=(MODEL,)).rows
    rest = f" with {lead.mixture.incumbent} for the rest" if lead.is_mixture else ""
    assert row.measured_score == proof.candidate_mean
    assert row.measured.startswith(f"measured here: promoted{rest}, {proof.candidate_mean:.3f} against")
    (found,) = [one for one in FreeholdProject(project).report().candidates if one.label == lead.label]
    assert (found.proof, found.score) == (proof, proof.candidate_mean)
    assert Answers().document(lead.proof)["candidate_mean"] == float(f"{proof.candidate_mean:.6g}")


def test_dollars_are_those_of_all_requests(told):
    project, report, _ = told
    lead = report.chosen
    wanted = lead.mixture.cost.mixture_usd if lead.is_mixture else lead.selection.cost.usd_per_1000
    assert lead.cost.usd_per_1000 == wanted
    with open_store(project.store_url) as store:
        rows = SCREENS["cost"].view(project, store, SCREENS["cost"].query(), at=evidence.AT).candidates
    (row,) = [one for one in rows if one.label.startswith(lead.label)]
    assert row.cost.usd_per_1000 == wanted
    assert ("for the rest" in row.label) == lead.is_mixture
