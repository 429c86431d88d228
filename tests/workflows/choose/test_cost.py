import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.settings import load
from freehold.store import open_store
from freehold.types.cost import Range
from freehold.types.machine import Speed
from freehold.types.trace import Trace, Usage
from freehold.workflows.choose.cost import LOOKED_UP, MachinePrice, faster, machine_price_of
from freehold.workflows.fit.machine import find_machine

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


def test_traces_of_other_models_are_said_to_be_priced_as_this_one(project):
    start = datetime(2026, 11, 1, tzinfo=UTC)
    with open_store(f"sqlite:///{_state(project)}/freehold.sqlite") as store:
        store.add_traces(
            Trace(
                id=f"t{number}",
                at=start + timedelta(hours=number),
                source="import:x",
                model="gpt-4o-2024-08-06" if number % 2 else "gpt-4o-mini",
                request={"messages": [{"role": "user", "content": "hi"}]},
                response={"choices": []},
                usage=Usage(prompt_tokens=1000, completion_tokens=100),
            )
            for number in range(50)
        )
    text = run("Qwen/Qwen3-8B", "--incumbent", "gpt-4o", "--machine", "L4", "--usd-per-hour", "0.7").stdout
    assert "25 of them were of other models (gpt-4o-mini 25) and are priced as gpt-4o" in text


def _state(project):
    folder = project / ".freehold"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--incumbent", "gpt-4o", "--machine", "L4", "--usd-per-hour", "1"], "no traffic to price"),
        (["--machine", "L4", *STATED], "no incumbent is named"),
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


def test_what_does_not_fit_costs_nothing_and_says_what_would(project):
    result = run(
        "Qwen/Qwen3-235B-A22B", "--incumbent", "gpt-4o", "--machine", "L4", "--usd-per-hour", "1", *STATED
    )
    assert "does not fit on L4 with 8 at once: needs" in str(result.exception)
    assert "× L4 24GB hold it" in result.exception.hint


def test_a_request_longer_than_the_context_is_said(project):
    long = ["--requests-per-month", "10", "--prompt-tokens", "4000", "--completion-tokens", "100"]
    result = run(
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        "--incumbent",
        "gpt-4o",
        "--machine",
        "L4",
        "--usd-per-hour",
        "1",
        *long,
    )
    assert "made for 2,048 tokens of context, a request of this traffic takes 4,101" in str(result.exception)


def test_a_cheaper_host_of_the_same_model_is_named(project):
    text = run(
        "Qwen/Qwen3-8B", "--incumbent", "gpt-4o", "--machine", "L4", "--usd-per-hour", "1", *STATED
    ).stdout
    assert "hosts the same model for" in text


def test_the_picture_in_the_terminal_and_as_a_page(project):
    arguments = [
        "Qwen/Qwen3-8B",
        "--incumbent",
        "gpt-4o",
        "--machine",
        "L4",
        "--usd-per-hour",
        "0.6-0.9",
        *STATED,
    ]
    result = run(
        *arguments, "--plot", "--html", "cost.html", "--batch-share", "0.5", "--reasoning-tokens", "20"
    )
    assert result.exit_code == 0, result.output
    assert "b bill   h holding" in result.stdout
    assert "would be" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines() if "┤" in line or "└" in line) <= 79
    assert "the machine half as fast" in result.stdout
    page = (project / "cost.html").read_text()
    assert "<svg" in page
    assert "hidden reasoning" in page
    assert "batch discount" in page
    assert run(*arguments, "--html", "nowhere/cost.html").exit_code != 0


def test_an_unknown_price_is_said_and_not_guessed(project):
    result = run(
        "Qwen/Qwen3-8B", "--incumbent", "gpt-99-nobody", "--machine", "L4", "--usd-per-hour", "1", *STATED
    )
    assert result.exit_code != 0
    assert "no price of gpt-99-nobody is known" in str(result.exception)
    result = run("Qwen/Qwen3-8B", "--incumbent", "gpt-4o", "--machine", "64GB", *STATED)
    assert result.exit_code != 0


def test_zero_traffic_pays_nothing_and_says_so(project):
    none = ["--requests-per-month", "0", "--prompt-tokens", "800", "--completion-tokens", "120"]
    result = run(
        "Qwen/Qwen3-8B", "--incumbent", "gpt-4o", "--machine", "L4", "--usd-per-hour", "1", *none, "--plot"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Stay")
    assert "no traffic: nothing is paid" in result.stdout


@pytest.mark.parametrize("columns", [80, 200])
def test_the_answer_fits_the_terminal(project, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = run(
        "Qwen/Qwen3-8B", "--incumbent", "gpt-4o", "--machine", "L4", "--usd-per-hour", "0.6-0.9", *STATED
    )
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) < columns
    fitted = CliRunner().invoke(
        cli, ["fit", "google/gemma-3-27b-it", "--machine", "L4", "--context", "32768"]
    )
    assert max(map(len, fitted.stdout.splitlines())) < columns


def test_a_machine_costs_what_is_stated_or_what_its_devices_rent_for(tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path)})
    one, two = find_machine("L4", settings), find_machine("2x L4", settings)
    hourly = Range(low=Decimal("0.6"), high=Decimal("0.9"))
    assert machine_price_of(one, MachinePrice(hourly)).usd_per_hour == hourly
    owned = machine_price_of(one, MachinePrice(purchase_usd=Decimal(4000)))
    assert owned.watts == 1.5 * one.accelerators[0].watts, "the rest of the machine, and cooling"
    assert machine_price_of(one, MachinePrice(purchase_usd=Decimal(4000), watts=90)).watts == 90
    with pytest.raises(UsageError, match="how much power 64GB draws is not known"):
        machine_price_of(find_machine("64GB", settings), MachinePrice(purchase_usd=Decimal(1)))
    rented, pair = (machine_price_of(found, LOOKED_UP) for found in map(_h100, (1, 2)))
    assert pair.usd_per_hour.low == 2 * rented.usd_per_hour.low
    with pytest.raises(UsageError, match="what 2x L4 costs is not known"):
        machine_price_of(two, LOOKED_UP)


def _h100(count):
    return find_machine(f"{count}x H100 SXM", load({}))


def test_a_faster_machine_is_faster_in_everything():
    speed = Speed(
        prefill_tokens_per_second=(10, 20),
        decode_tokens_per_second=(1, 2),
        decode_all_tokens_per_second=(3, 4),
        concurrency=2,
        how="measured",
        basis="test",
    )
    twice = faster(speed, 2.0)
    assert twice.prefill_tokens_per_second == (20, 40)
    assert twice.decode_tokens_per_second == (2, 4)
    assert twice.decode_all_tokens_per_second == (6, 8)
