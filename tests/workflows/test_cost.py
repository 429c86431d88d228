import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.store import open_store
from freehold.types.trace import Trace, Usage

pytest.importorskip("genai_prices", reason="needs the extra 'costs'")

STATED = ["--requests-per-month", "2_000_000", "--prompt-tokens", "800", "--completion-tokens", "120"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli, ["cost", *arguments])


def test_stated_traffic(project):
    result = run(
        "Qwen/Qwen3-8B",
        "--incumbent",
        "gpt-4o",
        "--machine",
        "L4",
        "--usd-per-hour",
        "0.6-0.9",
        *STATED,
        "--json",
    )
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert float(record["bill"]["usd_per_month"]["low"]) == pytest.approx(6400)
    assert record["advice"] == "leave"
    assert len(record["id"]) == 32
    text = run(
        "Qwen/Qwen3-8B", "--incumbent", "gpt-4o", "--machine", "L4", "--usd-per-hour", "0.6-0.9", *STATED
    )
    assert text.stdout.startswith("Leave: gpt-4o costs $6,400 a month")


def test_traffic_from_traces(project):
    start = datetime(2026, 11, 1, tzinfo=UTC)
    with open_store(f"sqlite:///{_state(project)}/freehold.sqlite") as store:
        store.add_traces(
            Trace(
                id=f"t{number}",
                at=start + timedelta(hours=number),
                source="import:x",
                model="gpt-4o",
                request={"messages": [{"role": "user", "content": "hi"}]},
                response={"choices": []},
                usage=Usage(prompt_tokens=1000, completion_tokens=100),
            )
            for number in range(49)
        )
    result = run(
        "Qwen/Qwen3-8B", "--incumbent", "gpt-4o", "--machine", "L4", "--usd-per-hour", "0.7", "--json"
    )
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert float(record["bill"]["usd_per_request"]["low"]) == pytest.approx(0.0035)
    assert record["advice"] == "stay"
    assert record["made_from"][0].startswith("traces:")


def _state(project):
    folder = project / ".freehold"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--incumbent", "gpt-4o", "--machine", "L4", "--usd-per-hour", "1"], "no traffic to price"),
        (["--machine", "L4", *STATED], "which model is paid for"),
        (["--incumbent", "gpt-4o", "--machine", "L4", *STATED], "what L4 costs is not known"),
        (
            ["--incumbent", "no-such", "--machine", "L4", "--usd-per-hour", "1", *STATED],
            "no price of no-such",
        ),
        (["--incumbent", "gpt-4o", "--machine", "64GB", "--usd-per-hour", "1", *STATED], "how fast 64GB is"),
        (["--incumbent", "gpt-4o", "--prompt-tokens", "5", "--machine", "L4"], "stated in part"),
    ],
)
def test_what_is_not_known_is_asked_for(project, arguments, says):
    result = run("Qwen/Qwen3-8B", *arguments)
    assert result.exit_code != 0
    assert says in str(result.exception)
