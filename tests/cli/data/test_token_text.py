"""Samples as tokens on a terminal: seen without colour, inert, in 80 columns."""

import json

import pytest
from click.testing import CliRunner
from tests.training.conftest import tiny, tokenizer

from freehold.cli.data.token_text import show_masks
from freehold.types.planning.token_mask import MaskedSample, MaskedSamples, TokenMasks, TokenRun
from freehold.types.planning.training_plan import LeftOut

__all__ = ["tiny", "tokenizer"]  # fixtures
pytestmark = pytest.mark.timeout(300)  # a training library is loaded


def masks(*runs, left_out=(), call_format="template"):
    sample = MaskedSample(id="0123456789", tokens=9, learned_tokens=2, runs=runs, part="better")
    found = MaskedSamples(samples=(sample,), left_out=left_out, call_format=call_format)
    return TokenMasks(base_model="org/base", because="trained", dataset_id="d", method="lora", masked=found)


def printed(found, monkeypatch, columns="80"):
    import click

    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)

    @click.command()
    def command():
        show_masks(found)

    ran = CliRunner().invoke(command)
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_what_is_learned_stands_in_brackets(monkeypatch):
    shown = printed(
        masks(
            TokenRun(learned=False, tokens=("<|im_start|>", "user", "\n", "where")),
            TokenRun(learned=False, left_out=1234),
            TokenRun(learned=True, tokens=("order", "_status", "<|im_end|>")),
        ),
        monkeypatch,
    )
    assert "01234567  9 tokens, 2 learned" in shown
    assert "<|im_start|>user↵\nwhere … 1,234 tokens … ⟦order_status<|im_end|>⟧" in shown
    assert "org/base (the last run's base), method lora" in shown


def test_on_a_terminal_without_colour_as_well(monkeypatch, capsys):
    for name, value in {
        "NO_COLOR": "1",
        "FORCE_COLOR": "1",
        "TERM": "xterm-256color",
        "COLUMNS": "80",
    }.items():
        monkeypatch.setenv(name, value)
    show_masks(masks(TokenRun(learned=True, tokens=("order", "_status"))))
    shown = capsys.readouterr().out
    assert "⟦order_status⟧" in shown and "what is learned is in ⟦ ⟧" in shown and "\x1b" not in shown


def test_hostile_tokens_steer_nothing_and_stay_in_80_columns(monkeypatch):
    hostile = ("\x1b[2J\x1b]0;mine\x07", "\u202e", " word" * 40, "\r", "z\u0301" * 30)
    shown = printed(masks(TokenRun(learned=True, tokens=hostile)), monkeypatch)
    assert not {"\x1b", "\u202e", "\r", "\x07"} & set(shown)
    assert max(map(len, shown.splitlines())) <= 160 and "\\x1b" in shown
    plain = printed(masks(TokenRun(learned=False, tokens=(" word",) * 100)), monkeypatch)
    assert max(map(len, plain.splitlines())) <= 80


def test_what_a_run_leaves_out_says_why(monkeypatch):
    gone = LeftOut(sample_id="abcdefgh12", code="over_long", reason="2,000 tokens, the limit is 1,024")
    shown = printed(masks(left_out=(gone,), call_format="tagged"), monkeypatch)
    assert "abcdefgh  training leaves it out: 2,000 tokens" in shown and "freehold's format" in shown


def test_the_command_shows_a_split_by_a_named_model(freehold, traffic, tiny):
    freehold("dataset", "build")
    shown = freehold("dataset", "show", "--tokens", "2", "--split", "validation", "--model", tiny.source).out
    assert shown.count("⟦") == 3 and "<|im_start|>assistant↵" in shown and "(as named)" in shown
    found = json.loads(freehold("dataset", "show", "--tokens", "1", "--model", tiny.source, "--json").out)
    assert found["schema"] == "freehold.dataset.show.tokens/1" and len(found["masked"]["samples"]) == 1


def test_without_the_weights_the_command_names_the_way(freehold, refused, traffic):
    freehold("dataset", "build")
    refused(
        *("dataset", "show", "--tokens", "1", "--model", "org/none"),
        message="tokenizer of org/none is not here",
        hint="freehold pull org/none",
    )


@pytest.mark.parametrize("wrong", ["0", "101"])
def test_at_most_a_hundred_samples_are_shown(freehold, traffic, wrong):
    ran = freehold("dataset", "show", "--tokens", wrong)
    assert ran.code == 2 and "--tokens" in ran.err
