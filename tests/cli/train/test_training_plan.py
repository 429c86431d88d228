"""A preview in a terminal's colours, and without them in brackets."""

import re

import pytest

from freehold.cli.train.training_plan import show_preview
from freehold.types.planning.training_plan import Piece, PreviewSample, SplitMeasurement, TrainingPreview

PIECES = (
    Piece(ids=(1,), text="where is", learned=False),
    Piece(ids=(2,), text=" [bold]it[/]\n", learned=False),
    Piece(ids=(3,), text="order", learned=True),
    Piece(ids=(4,), text="_status", learned=True),
)
FOUND = TrainingPreview(
    base_model="test/tiny",
    dataset_id="d" * 32,
    method="lora",
    template_sha256="t" * 64,
    call_format="tagged",
    samples=(PreviewSample(id="s1", tokens=4, learned_tokens=2, pieces=PIECES),),
    train=SplitMeasurement(
        samples=1, looked_at=1, usable=1, left_out={}, first_left_out=(), max_tokens=99, tokens=4
    ),
)


@pytest.fixture
def shown(monkeypatch, capsys):
    def show(**environment):
        for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        show_preview(FOUND)
        return capsys.readouterr().out

    return show


def test_what_is_learned_is_green_and_nothing_else(shown):
    out = shown(FORCE_COLOR="1", TERM="xterm-256color", COLORTERM="truecolor")
    # ESC [ … 48;5;N or 48;2;R;G;B m: a background, then the text up to the next escape.
    spans = re.findall(r"\x1b\[([0-9;]*)m([^\x1b]*)", out)
    backgrounds = {
        text: found.group() if (found := re.search(r"48;[0-9;]+", style)) else "" for style, text in spans
    }
    assert backgrounds["order"] and backgrounds["_status"] and backgrounds["order"] != backgrounds["_status"]
    unlearned = [style for text, style in backgrounds.items() if "where is" in text or "[bold]it[/]" in text]
    assert unlearned and not {backgrounds["order"], backgrounds["_status"]} & set(unlearned)
    assert "⟦" not in out, "colour says it already"


@pytest.mark.parametrize("terminal", [{"TERM": "dumb"}, {"FORCE_COLOR": "1", "TERM": "xterm-256color"}])
def test_without_colour_it_stands_in_brackets(shown, terminal):
    out = shown(NO_COLOR="1", **terminal)
    assert "\x1b" not in out
    assert "where is [bold]it[/]↵\n⟦order_status⟧" in out
    assert "tools and calls: in freehold's format" in out
