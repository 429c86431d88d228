import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.types.config import CandidateConfig, parse
from freehold.types.machine import Machine
from freehold.types.planning.assessment import ModelLimits, Needs
from freehold.workflows.choose import assess as assessing
from freehold.workflows.choose.assess import MOST_SECONDS, assess
from freehold.workflows.choose.candidates_file import put
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


def test_a_model_is_excluded_for_the_deciding_reason(project):
    (project.root / "freehold.toml").write_text('[app]\nname = "a"\n[use]\ncommercial = true\nseat = "DE"\n')
    found = by_name(assess(open_project(), machine_spec="8x H100 SXM"))[
        "meta-llama/Llama-4-Scout-17B-16E-Instruct"
    ]
    assert found.outcome == "excluded"
    assert "European Union" in found.reasons[0] or "in the EU" in found.reasons[0]
    assert "700" not in found.reasons[0]


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


APP = '# mine\n[app]\nname = "a"   # stays\n'
ENCODER = CandidateConfig(model="sentence-transformers/all-MiniLM-L6-v2", method="encoder")


@pytest.mark.parametrize(
    "body",
    [
        "",
        '\n[[candidates]]\nmodel = "a/b"\nmethod = "as_is"\n\n[task]\nmargin = 0.05\n',
        '\n[task]\nmargin = 0.05\n\n[[candidates]]\nmodel = "x/y"',
    ],
)
def test_those_that_the_file_does_not_name_are_added_once(tmp_path, body):
    path = tmp_path / "freehold.toml"
    path.write_text(APP + body)
    before = parse(path.read_text())
    chosen = (ENCODER, CandidateConfig(model="a/b"))
    put(path, chosen)
    after = parse(path.read_text())
    known = before.candidates or ()
    assert after.candidates == (*known, ENCODER, *([] if "a/b" in body else chosen[1:]))
    assert (after.app, after.task) == (before.app, before.task)
    once = path.read_text()
    assert once.startswith(APP)
    put(path, (*chosen, CandidateConfig(model=ENCODER.model)))
    assert path.read_text() == once


def test_an_encoder_that_leads_is_written_with_its_method(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    path = tmp_path / "freehold.toml"
    path.write_text(APP + '\n[task]\nscorer = "label"\n')
    result = CliRunner().invoke(cli, ["assess", "--write", "3"])
    assert result.exit_code == 0, result.output
    written = parse(path.read_text()).candidates
    assert len(written) == 3
    assert [one.method for one in written] == ["encoder", None, None]
    told = result.stdout.partition("[[candidates]]")
    assert parse(APP + told[1] + told[2]).candidates == written, "what is shown is what is written"
