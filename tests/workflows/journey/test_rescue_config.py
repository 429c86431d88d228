"""The file a rescue begins with, and what its questions will cost."""

import json
from decimal import Decimal

import pytest

from freehold.errors import InputError, UsageError
from freehold.types.config import DEFAULT_MODEL, parse
from freehold.workflows.incumbent.fine_tunes import FineTune
from freehold.workflows.journey import ladder, rescue_config
from freehold.workflows.journey.rescue_config import RescueRequest, config_text, dollars, estimate
from freehold.workflows.journey.suits import Unsuited

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
    monkeypatch.setattr(rescue_config, "asking_cost", lambda model, usages, *, at: 60 * EACH)


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
    closed = written(RescueRequest(folder=tmp_path), file)
    few = [(DEFAULT_MODEL, method) for method in ("examples", "as_is")]
    assert ways(closed) == [("sentence-transformers/all-MiniLM-L6-v2", "encoder"), *few]
    lacking = Unsuited("sentence-transformers is not installed", "pip install 'freehold[encoder]'")
    monkeypatch.setattr(ladder, "missing_extra", lambda method: lacking if method == "encoder" else None)
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
    monkeypatch.setattr(rescue_config, "asking_cost", lambda model, usages, *, at: None)
    with pytest.raises(UsageError, match="no price of fine-tune is known here"):
        written(asked(tmp_path, budget_usd=Decimal(1)), file)
    assert written(asked(tmp_path, api_key_env=None, budget_usd=EACH), file).data.held_out_limit == 400


def test_a_file_without_an_answer_is_refused(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "hello"}]}\n')
    with pytest.raises(InputError, match="no record with messages and an answer"):
        written(RescueRequest(folder=tmp_path), path)


def test_an_estimate_counts_requests_and_tokens():
    made = estimate("no such model", [10, 20], [1, 2])
    assert (made.requests, made.prompt_tokens, made.completion_tokens, made.cost_usd) == (2, 30, 3, None)


@pytest.mark.parametrize(
    ("amount", "text"), [("12", "$12.00"), ("0.01", "$0.01"), ("0.00123", "$0.0012"), ("0", "$0")]
)
def test_amounts_under_a_cent_keep_two_digits(amount, text):
    assert dollars(Decimal(amount)) == text
