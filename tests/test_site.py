"""The website made of docs/: its pages, its links and its pictures."""

import http.server
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.source import ROOT, script

from freehold.console.screens import SCREENS

DOCS = ROOT / "docs"


def test_every_page_has_one_place_and_the_kinds_are_apart():
    navigation = dict(script("site").navigation())
    assert list(navigation) == ["Tutorials", "How-to guides", "Reference", "Explanation", "Contributing"]
    pages = ["README.md", *(page for listed in navigation.values() for page in listed)]
    assert sorted(pages) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
    assert navigation["Tutorials"][0] == "guides/tutorial.md"
    assert navigation["How-to guides"][0] == "how-do-i.md"
    assert "concepts/verdicts.md" in navigation["Explanation"]


@pytest.mark.process
def test_a_folder_that_is_not_a_site_is_left_as_it_is(tmp_path):
    pytest.importorskip("zensical")
    (tmp_path / "mine").write_text("mine")
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts" / "site", tmp_path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2 and "left as it is" in ran.stderr
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.process
@pytest.mark.timeout(900)
def test_the_site_is_built_strictly_and_loads_nothing_from_others(tmp_path):
    pytest.importorskip("zensical")
    folder = tmp_path / "site"
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts" / "site", folder], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "No issues found" in ran.stdout + ran.stderr
    made = {str(page.relative_to(folder)) for page in folder.rglob("*.html")}
    wanted = {str(page.relative_to(DOCS).with_suffix(".html")) for page in DOCS.rglob("*.md")}
    assert {name.replace("README", "index") for name in wanted} <= made
    loaded = re.compile(
        r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//", re.IGNORECASE
    )
    for page in folder.rglob("*.html"):
        assert not loaded.search(page.read_text()), page
    for sheet in folder.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet
    found = json.loads((folder / "search.json").read_text())["items"]
    assert {name.replace("README", "index") for name in wanted} <= {
        one["location"].partition("#")[0] for one in found
    }
    home = (folder / "index.html").read_text()
    assert all(name in home for name in ("Tutorials", "How-to guides", "Reference", "Explanation"))


class Site(http.server.BaseHTTPRequestHandler):
    """A path is the status that is answered; 302 leads to 200."""

    def do_GET(self):
        code = int(self.path.strip("/"))
        self.send_response(code)
        if code == 302:
            self.send_header("location", "/200")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def site():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_links_are_found_with_their_pages_and_addresses_in_code_are_not(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("[a](https://a.example/x#y) and `https://code.example`\n")
    (tmp_path / "docs" / "b.md").write_text("<https://b.example> [a](https://a.example/x) [c](c.md)\n")
    assert script("links").linked(tmp_path) == {
        "https://a.example/x": ["README.md", "docs/b.md"],
        "https://b.example": ["docs/b.md"],
    }


@pytest.mark.parametrize(
    ("codes", "ends", "said"),
    [
        ((200, 302), 0, ""),
        ((200, 404), 1, "/404: gone (README.md)"),
        ((410,), 1, "/410: gone"),
        ((200, 403, 503), 0, "/503: status 503"),
    ],
)
def test_only_what_is_gone_fails(site, tmp_path, capsys, codes, ends, said):
    (tmp_path / "README.md").write_text("\n".join(f"[x]({site}/{code})" for code in codes))
    assert script("links").main(tmp_path) == ends
    assert said in capsys.readouterr().err


MOST_BYTES = 120 * 1024
MOST_PICTURES = 10
IN_THE_README = 4


@pytest.fixture(scope="module")
def pictures():
    return script("pictures")


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
