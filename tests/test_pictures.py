"""The pictures of the docs are there, shown, small, and of the screens as they are."""

import importlib.machinery
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from freehold.console.screens import SCREENS

ROOT = Path(__file__).parents[1]
MOST_BYTES = 120 * 1024
MOST_PICTURES = 10
IN_THE_README = 4


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
    wanted = {f"{one.name}.png" for one in pictures.SHOWN} | {f"{name}.svg" for name in pictures.TYPED}
    there = {
        path.name: path.stat().st_size for path in pictures.PICTURES.iterdir() if path != pictures.LAYOUT
    }
    assert there.keys() == wanted
    assert {name: size for name, size in there.items() if size > MOST_BYTES} == {}
    assert len(pictures.SHOWN) <= MOST_PICTURES
    assert json.loads(pictures.LAYOUT.read_text()).keys() == wanted


def test_every_picture_is_shown_with_words_for_those_who_do_not_see_it(pictures):
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [one for page in pages for one in shown_in(page)]
    assert {name for _, name in found} == {path.name for path in pictures.PICTURES.glob("*.*g")}
    assert [name for words, name in found if len(words) < 20] == []
    assert len(shown_in(ROOT / "README.md")) == IN_THE_README


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


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_the_screens_are_as_when_their_pictures_were_made(pictures):
    pytest.importorskip("playwright.sync_api")
    if not Path(pictures.CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed")
    told = pictures.differences(json.loads(pictures.LAYOUT.read_text()), pictures.layout())
    assert told == [], "a screen was changed: look at it, then run scripts/pictures FOLDER"
