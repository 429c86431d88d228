import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.errors import UnknownModelError
from freehold.types.machine import Machine
from freehold.types.planning.assessment import ModelLimits, Needs
from freehold.types.trace import Trace, Usage
from freehold.workflows.choose import assess as assessing
from freehold.workflows.choose.assess import MOST_SECONDS, assess
from freehold.workflows.choose.needs import needs_of
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


def test_the_largest_quantization_that_fits_is_taken(project):
    found = by_name(assess(project, machine_spec="RTX 4090", models=("Qwen/Qwen3-32B", "Qwen/Qwen3-8B")))
    assert found["Qwen/Qwen3-8B"].quantization == "Q8_0"
    assert found["Qwen/Qwen3-32B"].quantization in ("Q5_K_M", "Q4_K_M")
    assert found["Qwen/Qwen3-32B"].headroom_bytes >= 0


def test_order_by_speed_and_memory(project):
    first = [row.model for row in assess(project, machine_spec="RTX 4090").shortlist]
    assert first.index("Qwen/Qwen3-8B") < first.index("meta-llama/Llama-2-13b-chat-hf")  # two years younger
    large = [row.parameters for row in assess(project, machine_spec="RTX 4090", rank_by="size").shortlist]
    assert large == sorted(large, reverse=True)
    fast = assess(project, machine_spec="RTX 4090", rank_by="speed").shortlist
    speeds = [row.speed.decode_tokens_per_second[0] for row in fast]
    assert speeds == sorted(speeds, reverse=True)
    small = [row.total_bytes for row in assess(project, machine_spec="RTX 4090", rank_by="memory").shortlist]
    assert small == sorted(small)


def test_the_whole_catalog_is_assessed(project):
    assert len(assess(project, machine_spec="2x L4").rows) > 80


def test_unknown_model_is_an_error(project):
    with pytest.raises(UnknownModelError):
        assess(project, machine_spec="L4", models=("no/such",))


def trace(number, **request):
    return Trace(
        id=f"t{number}",
        at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=number),
        source="import:x",
        model="gpt-4o",
        request={"messages": [{"role": "system", "content": "s" * 90}, {"role": "user", "content": "hello"}]}
        | request,
        response=None,
        total_ms=1500,
        usage=Usage(prompt_tokens=3000, completion_tokens=200),
    )


def test_needs_are_read_from_traces():
    seen = needs_of([trace(0, tools=[{"type": "function"}]), trace(1), trace(2)])
    assert seen.tools
    assert not seen.vision
    assert seen.context_tokens == 3328
    assert seen.concurrency == 2
    assert seen.duplicate_share == pytest.approx(1 / 3)
    assert seen.cacheable_prefix_share > 0.6


def test_no_traces_conclude_nothing():
    assert "4,096 tokens a request" in needs_of([]).how[0]


def test_command(project):
    result = CliRunner().invoke(cli, ["assess", "--machine", "RTX 4090"])
    assert result.exit_code == 0, result.output
    assert "[candidates]" in result.stdout
    record = json.loads(CliRunner().invoke(cli, ["assess", "--machine", "L4", "--json"]).stdout)
    assert record["rows"][0]["rank"] == 1
    assert CliRunner().invoke(cli, ["assess", "--machine", "0.1GB"]).exit_code == 1


def test_slow_machines_write_more_than_nothing(project):
    result = CliRunner().invoke(cli, ["assess", "google/gemma-3-27b-it", "--machine", "Apple M1 Pro 32GB"])
    row = next(line for line in result.stdout.splitlines() if "gemma-3-27b-it" in line)
    low = float(row.split()[-1].partition("–")[0])
    assert 0 < low < 10


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


def test_without_a_closed_set_there_are_no_encoders(project, two_cores):
    assert not any(row.method for row in assess(project).rows)


def test_encoders_come_first_on_a_machine_with_a_card_too(project):
    first = [row.method for row in assess(closed_set(project), machine_spec="RTX 4090").shortlist[:3]]
    assert first == ["encoder", "encoder", None]


def test_a_model_is_excluded_for_the_deciding_reason(project):
    (project.root / "freehold.toml").write_text('[app]\nname = "a"\n[use]\ncommercial = true\nseat = "DE"\n')
    found = by_name(assess(open_project(), machine_spec="8x H100 SXM"))[
        "meta-llama/Llama-4-Scout-17B-16E-Instruct"
    ]
    assert found.outcome == "excluded"
    assert "European Union" in found.reasons[0] or "in the EU" in found.reasons[0]
    assert "700" not in found.reasons[0]


def test_a_context_that_positions_can_be_scaled_to_is_said_so(project):
    found = by_name(assess(project, machine_spec="2x H100 SXM", stated=Needs(context_tokens=65_536)))
    assert any("made for 40,960" in reason and "YaRN" in reason for reason in found["Qwen/Qwen3-8B"].reasons)
    assert not any("YaRN" in reason for reason in found["microsoft/phi-4"].reasons)


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


def test_what_takes_long_on_two_cores_does_not_lead(project, two_cores):
    found = assess(project)
    seconds = [row.seconds_per_request for row in found.shortlist]
    assert seconds[0] < MOST_SECONDS < max(seconds)
    slow = [one > MOST_SECONDS for one in seconds]
    assert slow == sorted(slow), "what is fast enough stands before what is not"
    named = by_name(found)["google/gemma-3-27b-it"]
    assert any("s or more for a request here" in reason for reason in named.reasons)


def test_what_does_not_fit_the_machine_has_no_speed_there(project):
    found = by_name(
        assess(project, machine_spec="RTX 4090", models=("moonshotai/Kimi-K2.5", "Qwen/Qwen3-8B"))
    )
    assert found["moonshotai/Kimi-K2.5"].headroom_bytes < 0
    assert found["moonshotai/Kimi-K2.5"].speed is None
    assert found["moonshotai/Kimi-K2.5"].seconds_per_request is None
    assert found["Qwen/Qwen3-8B"].speed is not None
    everything = assess(project, machine_spec="L4").rows
    assert not [row.model for row in everything if row.speed is not None and row.headroom_bytes < 0]


def test_one_duty_is_one_obligation(project, tmp_path):
    written = (
        (tmp_path / "freehold.toml")
        .read_text()
        .replace("commercial = true", 'mode = "internal"\ncommercial = false')
    )
    (tmp_path / "freehold.toml").write_text(written)
    rows = [row for row in assess(open_project(), machine_spec="L4").rows if row.obligations == 1]
    assert rows
    assert any("licence: 1 obligation" in row.reasons for row in rows)
    assert not [reason for row in rows for reason in row.reasons if "1 obligations" in reason]
