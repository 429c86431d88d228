import json
import re

import pytest
from click.testing import CliRunner
from tests.report import sample_mixture
from tests.report import sample_report as sample

from freehold.cli.main import cli
from freehold.store import open_store
from freehold.workflows.project import open_project

pytest.importorskip("genai_prices", reason="needs the extra 'costs'")

STATED = ["--requests-per-month", "2_000_000", "--prompt-tokens", "800", "--completion-tokens", "120"]
ON_L4 = ["--incumbent", "gpt-5.4", "--machine", "L4", "--usd-per-hour", "1"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli, ["cost", *arguments])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (ON_L4, "no traffic to price"),
        (["--machine", "L4", *STATED], "no incumbent is named"),
        (["--incumbent", "gpt-5.4", "--machine", "A30", *STATED], "what A30 costs is not known"),
        ([*ON_L4, *STATED, "--incumbent", "no-such"], "no price of no-such"),
        ([*ON_L4, *STATED, "--machine", "64GB"], "how fast 64GB is"),
        (["--incumbent", "gpt-5.4", "--prompt-tokens", "5", "--machine", "L4"], "stated in part"),
    ],
)
def test_what_is_not_known_is_asked_for(project, arguments, says):
    result = run("Qwen/Qwen3-8B", *arguments)
    assert result.exit_code != 0
    assert says in str(result.exception)


def test_what_does_not_fit_costs_nothing_and_says_what_would(project):
    result = run("Qwen/Qwen3-235B-A22B", *ON_L4, *STATED)
    assert "does not fit on L4 with 1 at once: needs" in str(result.exception)
    assert "× L4 24GB hold it" in result.exception.hint
    result = run("TinyLlama/TinyLlama-1.1B-Chat-v1.0", *ON_L4, *STATED, "--prompt-tokens", "4000")
    assert "made for 2,048 tokens of context, a request of this traffic takes 4,121" in str(result.exception)


def test_a_cheaper_host_of_the_same_model_stands_in_the_headline(project):
    text = run("Qwen/Qwen3-8B", *ON_L4, *STATED).stdout
    headline = " ".join(text.partition("\n\n")[0].split())
    assert re.search(r"^Leave: .* hosts the same model for \$[\d.]+, less than either\.$", headline)
    text = run("Qwen/Qwen3-8B", *ON_L4, *STATED, "--requests-per-month", "20_000").stdout
    assert text.startswith("Do not hold it: gpt-5.4 costs $76.00 a month"), "nor pay gpt-5.4 for it"


OSS = ["openai/gpt-oss-120b", "--incumbent", "gpt-5.4", "--machine", "2x H100 SXM", "--requests-per-month", "5_000_000",
       "--prompt-tokens", "3000", "--completion-tokens", "400"]  # fmt: skip


def test_requests_at_once_are_chosen_from_memory_and_time_and_are_in_the_list_of_what_would_change(project):
    found = json.loads(run(*OSS, "--json").stdout)
    assert found["advice"] == "leave"
    # Published by GPUStack's lab for this model on 2x H100 with vLLM: 34,000 tokens a second, which at 60 % in an hour
    # four times as busy are 3.9 million such requests a month: two machines.
    assert found["self_host"]["machines"] == [2, 3]
    assert found["self_host"]["concurrency"] > 100
    assert "the most that fit in its memory" in found["self_host"]["basis"]
    found = json.loads(run(*OSS, "--quant", "MXFP4_MOE", "--json").stdout)
    assert "the most that are answered within 30 s each" in found["self_host"]["basis"]
    others = [what for what, _ in found["sensitivity"] if "at once" in what]
    assert len(others) == 2 and others[0].startswith("answers within 15 s (")


def test_what_a_held_model_writes_to_reason_is_counted(project):
    def room(model, *more):
        asked = ("--incumbent", "gpt-5.4", "--machine", "L4", "--usd-per-hour", "1", *STATED, *more, "--json")
        held = json.loads(run(model, *asked).stdout)["self_host"]
        return float(held["requests_per_machine_month"][0]), held["basis"]

    plain, said = room("Qwen/Qwen3-8B")
    assert "0 tokens of reasoning before each answer, --reasoning-tokens states them" in said
    assert room("Qwen/Qwen3-8B", "--reasoning-tokens", "2000")[0] < plain / 2
    assert "500 tokens of reasoning" in room("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B")[1]


def test_a_machine_that_is_mine_already_costs_its_power(project):
    own = ("--machine", "L4", "--purchase-usd", "0")
    found = json.loads(run("Qwen/Qwen3-8B", "--incumbent", "gpt-5.4", *own, *STATED, "--json").stdout)
    # 72 W x 1.5 for the rest of the machine, 730.5 hours, $0.25 a kilowatt-hour; by hand: 0.108 x 730.5 x 0.25
    assert float(found["self_host"]["usd_per_machine_month"]["low"]) == pytest.approx(19.7235)
    assert "owned already: its power alone, 108 W at $0.25 a kilowatt-hour" in found["self_host"]["basis"]
    dear = run("Qwen/Qwen3-8B", "--incumbent", "gpt-5.4", "--machine", "L4", "--watts", "200", "--usd-per-kwh", "0.4",
               *STATED, "--json")  # fmt: skip
    assert float(json.loads(dear.stdout)["self_host"]["usd_per_machine_month"]["low"]) == pytest.approx(58.44)


def test_where_no_model_is_named_that_of_the_report_is_meant_else_the_first_that_writes(project):
    writer, reader = "HuggingFaceTB/SmolLM2-135M-Instruct", "sentence-transformers/all-MiniLM-L6-v2"
    (project / "freehold.toml").write_text(
        '[app]\nname = "shop"\n'
        f'[[candidates]]\nmodel = "{reader}"\nmethod = "encoder"\n[[candidates]]\nmodel = "{writer}"\nmethod = "lora"\n'
    )
    asked = [*STATED, "--incumbent", "gpt-5.4", "--usd-per-hour", "1", "--json"]
    assert json.loads(run(*asked).stdout)["self_host"]["model"] == writer
    with open_store(open_project().store_url) as store:
        one = sample.candidate(model=reader, method="encoder", weights=None, mixture=sample_mixture.mixture())
        store.put(sample.report(one))
    second = run(*asked)
    assert second.exit_code == 0, (second.exception, second.output)
    found = json.loads(second.stdout)
    assert found["self_host"]["model"] == reader
    # What the incumbent goes on answering is paid on top, and leaving spares the rest of its bill alone.
    rest = 1 - sample_mixture.mixture().share
    alone, both, paid = (found[name] for name in ("self_host", "with_fallback", "bill"))
    for end in ("low", "high"):
        added = float(both[end]) - float(alone["usd_per_month"][end])
        assert added == pytest.approx(rest * float(paid["usd_per_month"][end]))
    machine = float(alone["usd_per_machine_month"]["low"])
    meet = machine / ((1 - rest) * float(paid["usd_per_request"]["low"]))
    assert float(found["break_even_requests_per_month"]["low"]) == pytest.approx(meet)
    assert ", with gpt-5.4 as fallback $" in found["sentence"]
    assert json.loads(run(writer, *asked).stdout)["with_fallback"] is None


def test_where_the_rented_model_ends_its_replacement_is_weighed_and_what_is_known_is_told():
    asked = ("Qwen/Qwen3-8B", "--incumbent", "gpt-4o", "--machine", "L4", *STATED)
    found = json.loads(run(*asked, "--usd-per-hour", "0.6-0.9", "--json").stdout)
    after = found["replacement"]
    assert (found["ending"]["shutdown"], found["ending"]["replacement"]) == ("2027-01-14", after["model"])
    cheaper = float(after["usd_per_month"]["high"]) < float(found["self_host"]["usd_per_month"]["low"])
    assert found["advice"] == ("stay" if cheaper else "leave")
    assert f" {after['model']} costs $" in found["sentence"]
    half = run("Qwen/Qwen3-8B", "--incumbent", "gpt-4o", "--machine", "A30", *STATED)
    said = str(half.exception)
    assert said.endswith("Missing: what A30 costs is not known")
    assert (
        "gpt-4o costs $6,400 a month" in said
        and f"{after['model']} would cost $" in said
        and "2027-01-14" in said
    )


def test_what_holding_costs_is_told_where_the_price_of_the_rented_model_is_not_known():
    half = run("Qwen/Qwen3-8B", "--incumbent", "ours", "--machine", "L4", *STATED, "--usd-per-hour", "1")
    said = str(half.exception)
    assert said.startswith("Holding Qwen/Qwen3-8B as FP8 in vLLM on L4 costs $")
    assert "Missing: no price of ours is known" in said
