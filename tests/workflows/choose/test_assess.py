import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from freehold.catalog.accelerators import rental_price
from freehold.cli.main import cli
from freehold.store import open_store
from freehold.types.choosing import ModelLimits, Needs
from freehold.types.machine import Machine
from freehold.types.trace import Trace, Usage
from freehold.workflows.choose import assess as assessing
from freehold.workflows.choose.assess import LONGEST_SECONDS, assess
from freehold.workflows.choose.ranking import MOST_SECONDS, MeasuredHere
from freehold.workflows.project import open_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "a"\n[use]\ncommercial = true\nmonthly_active_users = 1000\nregions = ["US"]\n'
    )
    return open_project()


def by_name(found):
    return {row.model: row for row in found.rows}


def test_every_exclusion_has_its_reason(project):
    found = assess(project, machine_spec="RTX 4090", stated=Needs(tools=True, context_tokens=8192))
    rows = by_name(found)
    assert all(row.reasons for row in found.rows if row.outcome != "shortlisted")
    assert any("memory: needs" in reason for reason in rows["meta-llama/Llama-3.3-70B-Instruct"].reasons)
    assert any("tools" in reason for reason in rows["google/gemma-3-27b-it"].reasons)
    assert any("context: 8,192" in reason for reason in rows["meta-llama/Llama-2-7b-chat-hf"].reasons)
    assert rows["CohereForAI/c4ai-command-r7b-12-2024"].outcome == "excluded"
    assert any("licence: not allowed" in r for r in rows["CohereForAI/c4ai-command-r7b-12-2024"].reasons)
    assert rows["Qwen/Qwen3-8B"].outcome == "shortlisted"
    ranks = [row.rank for row in found.rows if row.rank]
    assert ranks == list(range(1, len(found.shortlist) + 1))


@pytest.fixture
def two_cores(monkeypatch):
    """A machine without an accelerator and with memory for all but the largest."""
    machine = Machine(
        name="two cores", cores=2, memory_bytes=64 << 30, available_memory_bytes=60 << 30, cpu="x",
        memory_bandwidth_bytes_per_second=2e10,
    )  # fmt: skip
    monkeypatch.setattr(assessing, "find_machine", lambda *_, **__: machine)


def closed_set(project):
    path = project.root / "freehold.toml"
    path.write_text('[app]\nname = "x"\n[task]\nscorer = "label"\n[use]\ncommercial = true\n')
    return open_project(path)


def test_what_must_be_trainable_is(project):
    found = by_name(
        assess(
            project,
            machine_spec="RTX 4090",
            limits=ModelLimits(trainable=True),
            models=("Qwen/Qwen3-8B", "Qwen/Qwen3-32B"),
        )
    )
    assert (
        found["Qwen/Qwen3-8B"].outcome == "shortlisted"
        and "trained here by LoRA" in found["Qwen/Qwen3-8B"].why
    )
    assert found["Qwen/Qwen3-32B"].outcome == "excluded"
    assert any(reason.startswith("training: QLoRA takes") for reason in found["Qwen/Qwen3-32B"].reasons)


def test_for_a_closed_set_without_an_accelerator_encoders_come_first(project, two_cores):
    found = assess(closed_set(project))
    first = found.shortlist[0]
    assert first.method == "encoder" and first.why.startswith("method encoder: for answers")
    assert first.total_bytes > 4 * first.parameters, "what it takes while it is served, not its file alone"


def test_a_line_of_revenue_counts_until_the_figure_is_stated(project):
    (line,) = (row.open_line for row in assess(project, models=("LiquidAI/LFM2.5-350M",)).rows)
    assert line.startswith("above 10,000,000 annual revenue")
    (project.root / "freehold.toml").write_text('[app]\nname = "x"\n[use]\nannual_revenue_usd = 1_000_000\n')
    assert assess(open_project(), models=("LiquidAI/LFM2.5-350M",)).rows[0].open_line is None


def test_no_guess_leaves_out_what_was_measured_here(project, two_cores, monkeypatch):
    small = ("Qwen/Qwen3-1.7B",)
    needs = Needs(task="code", context_tokens=32768)
    assert assess(project, stated=needs, models=small).rows[0].outcome == "excluded"
    found = MeasuredHere("c", 0.9, False, "measured here: promoted, 0.900")
    monkeypatch.setattr(assessing, "_scores", lambda project: {"qwen/qwen3-1.7b": found})
    assert assess(project, stated=needs, models=small).rows[0].outcome == "shortlisted"


def test_what_takes_long_on_two_cores_does_not_lead(project, two_cores):
    found = assess(project)
    seconds = [row.seconds_per_request for row in found.shortlist]
    assert seconds[0] < MOST_SECONDS < max(seconds)
    assert max(seconds) < LONGEST_SECONDS
    named = by_name(found)["google/gemma-3-27b-it"]
    assert named.outcome == "excluded" and any("s or more for a request here" in one for one in named.reasons)


pytest.importorskip("genai_prices", reason="needs the extra 'costs'")


@pytest.fixture
def priced_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    return open_project()


def test_assess_has_a_money_column_and_a_sentence(priced_project, monkeypatch):
    (priced_project.root / "freehold.toml").write_text('[app]\nname = "x"\n[incumbent]\nmodel = "gpt-5.4"\n')
    start = datetime(2026, 11, 1, tzinfo=UTC)
    with open_store(f"sqlite:///{priced_project.state}/freehold.sqlite") as store:
        store.add_traces(
            Trace(
                id=f"t{number}", at=start + timedelta(hours=number), source="import:x", model="gpt-5.4",
                request={"messages": [{"role": "user", "content": "hi"}]},
                response={"choices": [], "usage": {"completion_tokens_details": {"reasoning_tokens": 7}}},
                usage=Usage(prompt_tokens=800, completion_tokens=120),
            )
            for number in range(48)
        )  # fmt: skip
    arguments = ["assess", "Qwen/Qwen3-8B", "--machine", "L4"]
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    record = json.loads(result.stdout)
    assert record["advice"] == "stay"  # a few hundred requests a month never pay a machine
    assert record["money"].startswith("On cost alone, stay on the API")
    rent = rental_price("L4 24GB").usd_per_hour
    low, high = (float(end) for end in record["rows"][0]["usd_per_month"])
    assert (low, high) == pytest.approx((float(rent.low) * 730.5, float(rent.high) * 730.5))
    assert "/month" in CliRunner().invoke(cli, arguments).stdout
    monkeypatch.setenv("COLUMNS", "80")
    narrow = CliRunner().invoke(cli, arguments).stdout.splitlines()
    at = next(at for at, line in enumerate(narrow) if "Qwen/Qwen3-8B" in line)
    assert narrow[at - 1].endswith("tokens/s")
    assert max(map(len, narrow[at - 1 : at + 2])) < 80
    assert narrow[at + 1].strip() == f"· ${low:,.0f}–{high:,.0f} a month"
