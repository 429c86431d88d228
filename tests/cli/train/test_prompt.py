"""The command: what it tells before, what it shows after, and what stands on stdout."""

import json
import subprocess
import sys
from decimal import Decimal

import msgspec
import pytest
from click.testing import CliRunner
from tests.prompts.modelled import ASKED
from tests.types.test_prompting import made
from tests.workflows.journey.prompting.shop import GOOD, Shop, block, project

from freehold.cli.train.prompt import command, show, tell_estimate
from freehold.errors import UsageError
from freehold.types.prompting import PromptEstimate, PromptProposal


@pytest.fixture
def shop():
    server = Shop(block(GOOD))
    yield server
    server.shutdown()
    server.server_close()


def ran(*words):
    return CliRunner().invoke(command, list(words), catch_exceptions=False)


def test_a_dry_run_tells_what_it_would_take_and_asks_nothing(tmp_path, shop):
    project(tmp_path, shop.url)
    asked = ("small", "--endpoint", "house", "--proposer", "incumbent", "--budget-requests", "5")
    done = ran(*asked, "--dry-run", "--json", "--config", str(tmp_path / "freehold.toml"))
    told = json.loads(done.stdout)
    assert (told["variants"], told["proposer_requests"], told["proposer_url"]) == (8, 5, shop.url)
    done = ran(*asked, "--dry-run", "--config", str(tmp_path / "freehold.toml"))
    assert done.stdout == "" and "at most 5 requests to incumbent (writer)" in done.stderr
    assert f"are sent to {shop.url}" in done.stderr, "where samples go is said before they do"
    assert shop.asked == []


def test_what_was_found_is_shown_with_the_diff(tmp_path, shop):
    project(tmp_path, shop.url)
    done = ran("small", "--endpoint", "house", "--samples", "16", "--config", str(tmp_path / "freehold.toml"))
    assert "chosen" in done.stdout and "@@ end of the last user message @@" in done.stdout
    assert 'method = "prompt" in [[candidates]]' in done.stdout and "no proof" in done.stdout


def test_json_has_the_diff_and_the_proposer_s_words(tmp_path, shop):
    project(tmp_path, shop.url)
    done = ran(
        *(
            "small",
            "--endpoint",
            "house",
            "--samples",
            "16",
            "--proposer",
            "incumbent",
            "--budget-requests",
            "2",
        ),
        *("--json", "--config", str(tmp_path / "freehold.toml")),
    )
    told = json.loads(done.stdout)
    assert told["diff"] and "words" in told and told["added_tokens"] > 0
    assert len(told["search"]["proposals"]) == 2 and told["search"]["proposer_requests"] == 2


def test_a_proposer_without_a_budget_is_an_error_with_a_way_out(tmp_path, shop):
    project(tmp_path, shop.url)
    with pytest.raises(UsageError, match="no budget") as caught:
        ran("small", "--proposer", "incumbent", "--config", str(tmp_path / "freehold.toml"))
    assert "--budget-requests 60" in caught.value.hint


def test_the_proposer_s_words_cannot_steer_the_terminal(capsys):
    found = made(ASKED.preparation(system="Answer in JSON.\nNothing else."))
    hostile = PromptProposal(
        number=1, text="Answer in JSON.\nNothing else.", words="\x1b]0;pwned\x07\u202ewhy"
    )
    found = msgspec.structs.replace(
        found,
        proposals=(hostile, PromptProposal(number=2, refused="leak", why_refused="x")),
        stopped="the budget: 2 requests to the proposer",
        system_share=0.9,
        added_usd_per_1000_requests=Decimal("0.0115"),
    )
    show(found)
    shown = capsys.readouterr()
    assert "\x1b]" not in shown.out and "\\x1b]0;pwned\\x07\\u202ewhy" in shown.out
    assert "2 proposals, 1 refused (leak 1)" in shown.out
    assert "adds 12 tokens to a request, $0.0115 per 1,000 requests" in shown.out
    assert "90.0% of the requests" in shown.out and "ended early: the budget" in shown.err


def test_where_nothing_helped_it_says_so(capsys):
    show(made(ASKED.preparation(reminder="x"), chosen=0))
    assert "nothing did better than the request as it is sent" in capsys.readouterr().out


def test_a_price_that_is_not_known_is_told(capsys):
    tell_estimate(
        PromptEstimate(
            model="m",
            validation_samples=8,
            train_samples=0,
            variants=2,
            proposer=None,
            proposer_url=None,
            proposer_requests=0,
            candidate_requests=16,
            usd=None,
            notes=("a note",),
        )
    )
    told = capsys.readouterr().err
    assert "the price is not known" in told and "a note" in told


@pytest.mark.process
@pytest.mark.parametrize("amount", ["", "x", "nan", "inf", "2,5", "-5"])
def test_a_budget_that_is_not_an_amount_is_refused(amount):
    command = [sys.executable, "-m", "freehold", "prompt", "m", f"--budget-usd={amount}"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "--budget-usd" in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr
