"""The website made of docs/: each page is in it once, each link leads somewhere, nothing is loaded from others."""

import functools
import http.server
import importlib.machinery
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
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


def test_what_lies_outside_of_the_docs_is_named(tmp_path):
    script().staged(tmp_path / "docs")
    page = (tmp_path / "docs" / "guides" / "demo.md").read_text()
    assert "(`examples/tickets/rules.md` in the repository)" in page
    assert "](../../examples" not in page


def test_a_folder_that_is_not_a_site_is_left_as_it_is(tmp_path):
    pytest.importorskip("zensical")
    (tmp_path / "mine").write_text("mine")
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts" / "site", tmp_path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2 and "left as it is" in ran.stderr
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_site_is_built_strictly_and_loads_nothing_from_others(tmp_path):
    pytest.importorskip("zensical")
    folder = tmp_path / "site"
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts" / "site", folder], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "No issues found" in ran.stdout + ran.stderr
    (listed,) = json.loads((folder / "versions.json").read_text())
    out = folder / listed["version"]
    assert listed["aliases"] == ["latest"] and out.name in ("dev", script().version())
    made = {str(page.relative_to(out)) for page in out.rglob("*.html")}
    wanted = {str(page.relative_to(DOCS).with_suffix(".html")) for page in DOCS.rglob("*.md")}
    assert {name.replace("README", "index") for name in wanted} <= made
    loaded = re.compile(
        r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//", re.IGNORECASE
    )
    for page in folder.rglob("*.html"):
        assert not loaded.search(page.read_text()), page
    for sheet in out.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet
    found = json.loads((out / "search.json").read_text())["items"]
    assert {name.replace("README", "index") for name in wanted} <= {
        one["location"].partition("#")[0] for one in found
    }
    home = (out / "index.html").read_text()
    assert all(name in home for name in ("Tutorials", "How-to guides", "Reference", "Explanation"))


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """The site of a small repository: 0.9.0 and 0.10.0 are released, and a page was added since."""
    pytest.importorskip("zensical")
    root = tmp_path_factory.mktemp("repository")
    for name in ("scripts", "docs/guides", "src/freehold"):
        (root / name).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "site", root / "scripts")
    (root / "docs" / "README.md").write_text("# Home\n\n[Tour](guides/tour.md)\n")
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]

    def git(*words):
        subprocess.run(["git", *settings, *words], cwd=root, check=True, capture_output=True)

    def commit(number, text):
        (root / "src" / "freehold" / "__init__.py").write_text(f'__version__ = "{number}"\n')
        (root / "docs" / "guides" / "tour.md").write_text(f"# Tour\n\n{text}\n")
        git("add", "-A")
        git("commit", "-q", "-m", text)

    git("init", "-q")
    for number, text in (("0.9.0", "Nine"), ("0.10.0", "Ten")):
        commit(number, text)
        git("tag", f"v{number}")
    (root / "docs" / "guides" / "demo.md").write_text("# Demo\n\nUnreleased.\n")
    commit("0.10.0", "Eleven")
    out = tmp_path_factory.mktemp("site")
    for words in ((), ("--tags",)):
        subprocess.run(
            [sys.executable, root / "scripts" / "site", out, *words], check=True, capture_output=True
        )
        if not words:
            (alone,) = json.loads((out / "versions.json").read_text())
            assert (alone["version"], alone["aliases"]) == ("dev", ["latest"]), "nothing else is there yet"
    return out


@pytest.mark.slow
def test_each_version_has_its_own_pages_and_the_newest_that_was_released_is_the_first(versions):
    listed = json.loads((versions / "versions.json").read_text())
    assert [(one["version"], one["aliases"]) for one in listed] == [
        ("dev", []),
        ("0.10.0", ["latest"]),
        ("0.9.0", []),
    ]
    said = {
        one["version"]: (versions / one["version"] / "guides" / "tour.html").read_text() for one in listed
    }
    assert all(text in said[name] for name, text in (("dev", "Eleven"), ("0.10.0", "Ten"), ("0.9.0", "Nine")))
    assert (versions / "dev" / "guides" / "demo.html").exists()
    assert not (versions / "0.10.0" / "guides" / "demo.html").exists()
    assert all((versions / name / "search.json").exists() for name in said)
    assert 'content="0; url=0.10.0/"' in (versions / "index.html").read_text()


@pytest.mark.slow
@pytest.mark.browser
def test_the_header_has_a_menu_of_versions(versions):
    sync_api = pytest.importorskip("playwright.sync_api")
    handler = functools.partial(QuietHandler, directory=str(versions))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with sync_api.sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path="/usr/bin/chromium", args=["--no-sandbox"]
                )
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{server.server_port}/")
                page.wait_for_url("**/0.10.0/")
                page.goto(f"http://127.0.0.1:{server.server_port}/0.10.0/guides/tour.html")
                page.locator(".md-version__current").wait_for()
                assert page.locator(".md-version__current").inner_text().strip() == "0.10.0"
                assert page.locator(".md-version__link").all_inner_texts() == ["dev", "0.10.0", "0.9.0"]
                page.locator(".md-version__link", has_text="0.9.0").evaluate("one => one.click()")
                page.wait_for_url("**/0.9.0/**")
                assert "/0.9.0/" in page.url
                browser.close()
        finally:
            server.shutdown()
            thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass
