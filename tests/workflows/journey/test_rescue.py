"""A fine-tuned GPT that stops on a date, against a local server that speaks the real API's shape."""

import json
import re
from decimal import Decimal

import pytest
from click.testing import CliRunner
from tests.workflows.incumbent.fine_tuning_api import KEY, MODEL, OTHER, job

from freehold.cli.rescue import rescue as command
from freehold.errors import InputError, UsageError
from freehold.progress import Silent
from freehold.types.config import DEFAULT_MODEL
from freehold.types.config_file import parse
from freehold.workflows.incumbent.retirements import FineTune
from freehold.workflows.journey import proposals, rescue, step_costs
from freehold.workflows.journey.rescue import RescueRequest, config_text
from freehold.workflows.journey.suits import Unsuited
from freehold.workflows.prove.preflight import PreflightError

LABELS = ("refund", "lamp")


def training_file(path, rows=300):
    with path.open("w") as file:
        for number in range(rows):
            messages = [
                {"role": "system", "content": "name the matter"},
                {"role": "user", "content": f"number {number} about a {LABELS[number % 2]}"},
                {"role": "assistant", "content": LABELS[number % 2]},
            ]
            file.write(json.dumps({"messages": messages}) + "\n")
    return path


def rehearsed(path):
    """The written project with the shipped fake as its engine: the journey without weights."""
    text = path.read_text().partition("[serve]")[0]
    text = re.sub(r"\[\[candidates\]\]\n.*\n.*\n", "", text)
    rules = ", ".join(f'{{ contains = "{label}", answer = "{label}" }}' for label in LABELS)
    path.write_text(
        f'{text}[serve]\nengine = "echo"\n[serve.options]\nin_process = true\nrules = [{rules}]\n'
    )


def test_from_the_file_alone_the_candidate_is_measured(tmp_path):
    request = RescueRequest(folder=tmp_path / "out", file=training_file(tmp_path / "train.jsonl"))
    project, ready = rescue.begin(request, progress=Silent())
    assert ready.asking is None
    assert ready.scorer == "label"
    assert ready.samples["held_out"] + ready.samples["train"] + ready.samples["validation"] == 300
    rehearsed(tmp_path / "out" / "freehold.toml")
    project, ready = rescue.begin(request, progress=Silent())
    migration = rescue.finish(project, progress=Silent())
    (candidate,) = migration.report.candidates
    assert candidate.comparison is None
    assert candidate.measured.mean == 1.0
    assert migration.exit_code == 3
    assert migration.report.dataset.targets_from["incumbent"] == 0  # the file's answers are the owner's


def test_a_file_the_fine_tune_has_not_seen_is_the_whole_proof(tmp_path):
    unseen = tmp_path / "unseen.jsonl"
    unseen.write_bytes(
        b"".join(training_file(tmp_path / "more.jsonl", 330).read_bytes().splitlines(True)[300:])
    )
    request = RescueRequest(
        folder=tmp_path / "out", file=training_file(tmp_path / "train.jsonl"), held_out=unseen
    )
    _, ready = rescue.begin(request, progress=Silent())
    assert ready.samples["held_out"] == 30
    assert ready.samples["train"] + ready.samples["validation"] == 300


def test_with_a_key_the_file_is_fetched_and_answers_are_frozen_within_the_budget(api, tmp_path):
    api.files["file-train"] = training_file(tmp_path / "train.jsonl").read_bytes()
    request = RescueRequest(folder=tmp_path / "out", base_url=api.url, api_key_env=KEY, budget_usd=Decimal(5))
    project, ready = rescue.begin(request, progress=Silent())
    assert not api.asked
    assert ready.model == MODEL
    assert ready.asking.requests == ready.samples["held_out"]
    assert Decimal(0) < ready.asking.cost_usd < Decimal(5)
    rehearsed(tmp_path / "out" / "freehold.toml")
    project, ready = rescue.begin(request, progress=Silent())
    frozen = rescue.freeze_answers(project, ready, budget_usd=Decimal(5), progress=Silent())
    assert frozen.answered == len(api.asked) == ready.asking.requests
    assert {body["model"] for body in api.asked} == {MODEL}
    migration = rescue.finish(project, progress=Silent())
    (candidate,) = migration.report.candidates
    assert candidate.comparison.incumbent_mean == candidate.comparison.candidate_mean == 1.0
    assert any("has seen their answers" in note for note in migration.report.notes)
    asked = len(api.asked)
    project, ready = rescue.begin(request, progress=Silent())
    assert (ready.asking, ready.why_not_asked) == (None, "its answers are frozen already")
    assert rescue.freeze_answers(project, ready, budget_usd=None, progress=Silent()) is None
    assert len(api.asked) == asked


def test_a_validation_file_too_small_for_the_margin_is_told_before_anything_is_paid(api, tmp_path):
    """60 rows and a margin of three points: it paid, trained, and then said that 815 pairs were needed."""
    rows = training_file(tmp_path / "more.jsonl", 360).read_bytes().splitlines(True)
    (tmp_path / "train.jsonl").write_bytes(b"".join(rows[:300]))
    (tmp_path / "unseen.jsonl").write_bytes(b"".join(rows[300:]))
    arguments = [
        str(tmp_path / "train.jsonl"), "--held-out", str(tmp_path / "unseen.jsonl"), "--base-url", api.url,
        "--api-key-env", KEY, "--dir", str(tmp_path / "out"), "--yes",
    ]  # fmt: skip
    ran = CliRunner().invoke(command, arguments)
    assert isinstance(ran.exception, PreflightError)
    assert (
        "with n = 60 you can prove 6.7 points at best, and your margin is 3 points" in ran.exception.message
    )
    assert not api.asked
    assert not (tmp_path / "out" / ".freehold" / "frozen").exists()


def test_a_small_budget_means_fewer_samples(api, tmp_path):
    path = training_file(tmp_path / "train.jsonl")
    request = RescueRequest(folder=tmp_path / "a", file=path, base_url=api.url, api_key_env=KEY)
    whole = rescue.begin(request, progress=Silent())[1].asking
    part = rescue.begin(
        request._replace(folder=tmp_path / "b", budget_usd=whole.cost_usd / 3), progress=Silent()
    )[1].asking
    assert part.cost_usd <= whole.cost_usd / 3
    assert whole.requests / 4 < part.requests < whole.requests / 2
    with pytest.raises(UsageError, match="the budget is") as caught:
        rescue.begin(
            request._replace(folder=tmp_path / "a", budget_usd=whole.cost_usd / 3), progress=Silent()
        )
    assert "held_out_limit" in caught.value.hint
    with pytest.raises(UsageError, match="one answer costs about"):
        rescue.begin(request._replace(folder=tmp_path / "c", budget_usd=Decimal("1e-9")), progress=Silent())


def test_what_cannot_be_rescued_is_said_before_anything_is_written(api, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"messages": []}\n')
    with pytest.raises(InputError, match="no record with messages"):
        rescue.begin(RescueRequest(folder=tmp_path / "out", file=empty), progress=Silent())
    with pytest.raises(InputError, match="no such file"):
        rescue.begin(RescueRequest(folder=tmp_path / "out", file=tmp_path / "nowhere"), progress=Silent())
    with pytest.raises(UsageError, match="which fine-tuning file"):
        rescue.begin(RescueRequest(folder=tmp_path / "out"), progress=Silent())
    api.jobs.append(job(OTHER))
    with pytest.raises(UsageError, match="2 fine-tuned models; which one"):
        rescue.begin(
            RescueRequest(folder=tmp_path / "out", base_url=api.url, api_key_env=KEY), progress=Silent()
        )
    assert not (tmp_path / "out").exists()


def test_paid_requests_need_a_yes(api, tmp_path):
    path = training_file(tmp_path / "train.jsonl")
    arguments = [str(path), "--dir", str(tmp_path / "out"), "--base-url", api.url, "--api-key-env", KEY]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, UsageError)
    assert not api.asked
    assert "60 requests" in result.stderr or re.search(
        r"freezing +\d+ requests, about [\d,]+ tokens", result.stderr
    )
    result = CliRunner().invoke(command, [*arguments, "--prepare", "--json"])
    assert json.loads(result.stdout)["model"] == MODEL
    listed = CliRunner().invoke(command, ["--list", *arguments[3:]])
    assert MODEL in listed.stdout
    assert CliRunner().invoke(command, [*arguments, "--budget-usd", "nan"]).exit_code == 2


EACH = Decimal("0.001")
"""What a request costs where the price is known."""


@pytest.fixture
def file(tmp_path):
    """A fine-tuning file of 60 samples with two labels."""
    path = tmp_path / "train.jsonl"
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"number {n}"},
                {"role": "assistant", "content": ("yes", "no")[n % 2]},
            ]
        }
        for n in range(60)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def priced(monkeypatch):
    """Every sample of `file` costs `EACH`."""
    monkeypatch.setattr(step_costs, "total_price", lambda model, usages, *, flat: 60 * EACH)


def asked(folder, **changes):
    return RescueRequest(**{"folder": folder, "api_key_env": "KEY", **changes})


def written(request, file, *, tune=None, held_out=None):
    return parse(config_text(request, tune, file, held_out))


def test_the_file_says_how_it_is_scored_and_how_much_room_it_takes(tmp_path, file):
    config = written(RescueRequest(folder=tmp_path), file)
    assert (config.task.scorer, config.task.max_tokens, config.data.answers) == ("label", 16, "gold")
    assert (config.data.files, config.data.held_out_files) == (("train.jsonl",), ())
    assert (config.train.batch_size, config.train.max_tokens, config.serve.context_tokens) == (8, 1024, 1024)
    assert config.incumbent.model == "fine-tune"
    assert config.incumbent.base_url is None, "it cannot be asked without a key"


def ways(config):
    return [(one.model, one.method) for one in config.candidates]


def test_where_none_is_named_the_ladder_is_written_as_far_as_it_can_be_made_here(tmp_path, file, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    closed = written(RescueRequest(folder=tmp_path), file)
    few = [(DEFAULT_MODEL, method) for method in ("examples", "as_is")]
    assert ways(closed) == [("sentence-transformers/all-MiniLM-L6-v2", "encoder"), *few]
    lacking = Unsuited("sentence-transformers is not installed", "pip install 'freehold[encoder]'")
    monkeypatch.setattr(
        proposals, "missing_extra", lambda method, model=None: lacking if method == "encoder" else None
    )
    request = RescueRequest(folder=tmp_path)
    assert ways(written(request, file)) == few
    said = config_text(request, None, file, None)
    assert "· encoder, which needs pip install 'freehold[encoder]'" in said


def test_what_was_asked_for_goes_before_what_was_guessed(tmp_path, file):
    request = asked(tmp_path, model="mine", base_url="http://x/v1")
    config = written(request, file, held_out=tmp_path / "unseen.jsonl")
    assert (config.incumbent.model, config.incumbent.base_url) == ("mine", "http://x/v1")
    assert config.incumbent.api_key_env == "KEY"
    assert config.data.held_out_files == ("unseen.jsonl",)
    tune = FineTune(model="ft:x", base="x", answers=True)
    assert written(request, file, tune=tune).incumbent.model == "ft:x", "the account knows its name"


@pytest.mark.parametrize(
    ("budget", "held_out"),
    [(None, 400), (Decimal("0.1"), 90)],  # a tenth of a hundred samples is kept back
)
def test_a_budget_limits_what_is_held_out(tmp_path, file, priced, budget, held_out):
    assert written(asked(tmp_path, budget_usd=budget), file).data.held_out_limit == held_out


def test_a_budget_that_cannot_be_kept_is_refused(tmp_path, file, priced, monkeypatch):
    with pytest.raises(UsageError, match=r"one answer costs about \$0.001, the budget is \$0.001"):
        written(asked(tmp_path, budget_usd=EACH), file)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="no price of fine-tune is known here"):
        written(asked(tmp_path, budget_usd=Decimal(1)), file)
    assert written(asked(tmp_path, api_key_env=None, budget_usd=EACH), file).data.held_out_limit == 400
