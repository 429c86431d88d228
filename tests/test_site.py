"""The website made of docs/: each page is in it once, each link leads somewhere, nothing is loaded from others."""

import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def script():
    loader = importlib.machinery.SourceFileLoader("site_script", str(ROOT / "scripts" / "site"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("site_script", loader))
    loader.exec_module(module)
    return module


def test_every_page_has_one_place_and_the_kinds_are_apart():
    navigation = dict(script().navigation())
    assert list(navigation) == ["Tutorials", "How-to guides", "Reference", "Explanation", "Contributing"]
    pages = ["README.md", *(page for listed in navigation.values() for page in listed)]
    assert sorted(pages) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
    assert {"guides/tour.md", "guides/getting-started.md"} <= set(navigation["Tutorials"])
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
