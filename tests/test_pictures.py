"""The pictures of the docs are there, shown, small, and of the screens as they are."""

import importlib.machinery
import importlib.util
import json
import re
import sys
from pathlib import Path

import click
import pytest

from freehold.console.screens import SCREENS

ROOT = Path(__file__).parents[1]
MOST_BYTES = 120 * 1024
MOST_PICTURES = 10
MOST_BYTES_RECORDED = 300 * 1000
IN_THE_README = 4
"""Stills; one recording besides."""


@pytest.fixture(scope="module")
def pictures():
    path = ROOT / "scripts" / "pictures"
    loader = importlib.machinery.SourceFileLoader("script_pictures", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


def shown_in(page):
    """The pictures that a page shows, each with what it says to those who do not see it."""
    return re.findall(r"!\[([^\]]*)\]\([^)]*?pictures/([\w-]+\.(?:png|svg))\)", page.read_text())


def test_every_picture_is_there_small_and_no_other_is(pictures):
    stills = {f"{one.name}.png" for one in pictures.SHOWN} | {f"{name}.svg" for name in pictures.TYPED}
    recorded = {f"{one.name}.svg" for one in pictures.recordings.RECORDED}
    wanted = stills | recorded
    there = {
        path.name: path.stat().st_size for path in pictures.PICTURES.iterdir() if path != pictures.LAYOUT
    }
    assert there.keys() == wanted
    assert {name: there[name] for name in stills if there[name] > MOST_BYTES} == {}
    assert {name: there[name] for name in recorded if there[name] > MOST_BYTES_RECORDED} == {}
    assert len(pictures.SHOWN) <= MOST_PICTURES
    assert json.loads(pictures.LAYOUT.read_text()).keys() == wanted


def test_every_picture_is_shown_with_words_for_those_who_do_not_see_it(pictures):
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [one for page in pages for one in shown_in(page)]
    assert {name for _, name in found} == {path.name for path in pictures.PICTURES.glob("*.*g")}
    assert [name for words, name in found if len(words) < 20] == []
    recorded = {f"{one.name}.svg" for one in pictures.recordings.RECORDED}
    in_readme = {name for _, name in shown_in(ROOT / "README.md")}
    assert len(in_readme - recorded) == IN_THE_README and len(in_readme & recorded) == 1


def test_every_screen_has_a_picture_or_a_reason(pictures):
    shown = {one.place.partition("?")[0] for one in pictures.SHOWN} - {""}
    assert not shown & pictures.NOT_SHOWN.keys()
    assert shown | pictures.NOT_SHOWN.keys() == SCREENS.keys()


def test_pictures_of_the_terminal_load_nothing(pictures):
    for path in pictures.PICTURES.glob("*.svg"):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "$" in text and "url(h" not in text and "@font-face" not in text
        assert re.findall(r'(?:href|src)=(?!"#)', text) == []
        assert "<script" not in text


def test_a_recording_says_what_it_is_and_stands_still_for_those_who_ask_for_that(pictures):
    for recording in pictures.recordings.RECORDED:
        text = (pictures.PICTURES / f"{recording.name}.svg").read_text()
        title = re.search(r"<title>(.*?)</title>", text)[1]
        assert title.startswith(recording.asks)
        assert all(f"freehold {' '.join(one)}" in title for one in recording.commands)
        less = r"prefers-reduced-motion: reduce\) \{#screen_view \{animation: none !important; (.*?)\}"
        still = re.search(less, text)[1]
        assert still == "transform: translateY(" + re.findall(r"translateY\((-?\d+px\))", text)[-2], (
            "the last screen"
        )
        assert f"animation-iteration-count: {pictures.recordings.PLAYED} !important" in text, "not for ever"
        drawn = re.sub(r"<[^>]+>", "", text)
        first = pictures.recordings.typed_line(recording.commands[0]).splitlines()[0]
        assert f"# {recording.asks}" in drawn and first.rstrip(" \\") in drawn


@pytest.mark.parametrize("most", [80])
def test_every_command_that_is_recorded_is_one_of_this_version(pictures, most):
    from freehold.cli.main import cli

    for recording in pictures.recordings.RECORDED:
        for words in recording.commands:
            command, context = cli, cli.make_context("freehold", list(words))
            while isinstance(command, click.Group):
                rest = [*context._protected_args, *context.args]
                name, command, rest = command.resolve_command(context, rest)
                context = command.make_context(
                    name, rest, parent=context
                )  # raises for an option that is not there
            assert max(map(len, pictures.recordings.typed_line(words).split("\r\n"))) + 2 <= most


def test_what_a_terminal_gets_begins_with_the_question_and_shortens_a_wait(pictures, tmp_path, monkeypatch):
    """A wait of an hour is shown in a moment, and what is printed is what a terminal gets."""
    recordings = pictures.recordings
    said = [(3600.0, "one\r\ntwo\r\n"), (0.1, "three\r\n")]
    monkeypatch.setattr(recordings, "chunks", lambda folder, words, *, rows: iter(said))
    made = recordings.Recording("record-x", "And now?", (("status",), ("cost",)), "demo", clears=False)
    events = list(recordings.events(made, tmp_path))
    assert events[0] == (0.0, "\x1b[2m# And now?\x1b[0m\r\n\x1b[1m$ freehold status\x1b[0m")
    assert [at for at, _ in events] == sorted(at for at, _ in events) and events[-1][0] < 15
    whole = "".join(text for _, text in events)
    assert (
        whole.count("one\r\ntwo\r\nthree\r\n") == 2 and "\x1b[2J" not in whole and "$ freehold cost" in whole
    )


def test_a_change_is_told_and_figures_are_none(pictures):
    kept = {"a.png": [pictures.masked("h2 3 items of 0a1b2c3d4e, 2026-11-29")]}
    assert (
        pictures.differences(kept, {"a.png": [pictures.masked("h2 4 items of ffffffffff, 2027-01-02")]}) == []
    )
    assert pictures.differences(kept, {"a.png": ["h2 another heading"]})[-2:] == [
        f"-{kept['a.png'][0]}",
        "+h2 another heading",
    ]
    assert pictures.differences(kept, {})
    assert pictures.outlined("h2 3 of 8 done") == "h2 0 of 0 done"
    assert pictures.outlined("panel at 240, 1000 wide") == "panel at 240, 1000 wide", (
        "where it stands is no figure"
    )


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_the_screens_are_as_when_their_pictures_were_made(pictures):
    pytest.importorskip("playwright.sync_api")
    if not Path(pictures.CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed")
    told = pictures.differences(json.loads(pictures.LAYOUT.read_text()), pictures.layout())
    assert told == [], "a screen was changed: look at it, then run scripts/pictures FOLDER"
