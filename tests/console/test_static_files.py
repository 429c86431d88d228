"""Only this package's own scripts and styles are served, and none of them can turn text into markup."""

import re

import pytest
from aiohttp import web

from freehold.console import static_files

LINES_MAX = 400
FILES = sorted(
    path.relative_to(static_files.folder()).as_posix()
    for path in static_files.folder().rglob("*")
    if path.suffix in (".js", ".css")
)


def text(name):
    return static_files.folder().joinpath(*name.split("/")).read_text()


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_and_short_enough_to_read(name):
    assert static_files.script_or_style(name).status == 200
    assert text(name).count("\n") <= LINES_MAX


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_no_script_makes_markup_or_code_of_text_or_leads_elsewhere(name):
    found = re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3\.org/2000/svg)",
        text(name),
    )
    assert found == []


@pytest.mark.parametrize(
    "name", ["page.html", "../app.py", "screens/../console.js", "pieces", "screens/", "x.js"]
)
def test_nothing_else_is(name):
    with pytest.raises(web.HTTPNotFound):
        static_files.script_or_style(name)


def test_the_report_and_the_console_have_the_same_colours_in_both_themes():
    tokens = static_files.design_tokens()
    assert tokens.count("--paper:") == 2 and "prefers-color-scheme: dark" in tokens and "body" not in tokens
    assert static_files.script_or_style("console.css").text.startswith(":root")
