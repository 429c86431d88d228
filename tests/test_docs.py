"""What the docs name exists, and what is made from code is up to date."""

import ast
import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.snippets.blocks import anchors

from freehold import errors
from freehold.cli.main import COMMANDS
from freehold.settings import SETTINGS
from freehold.types.use import UseProfile

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


@pytest.mark.process
def test_made_pages_are_up_to_date():
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs", "--check"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr


def test_links_lead_somewhere():
    """Commands that pages name are looked at by tests/snippets."""
    links = [
        (page, page.parent / target if target else page, anchor)
        for page in PAGES
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text())
        if (target or anchor) and "://" not in target and not target.startswith("mailto:")
    ]
    assert len(links) > 300
    assert [f"{page}: {target}" for page, target, _ in links if not target.exists()] == []
    titled = [link for link in links if link[2] and link[1].suffix == ".md"]
    assert [f"{page}: {to}#{anchor}" for page, to, anchor in titled if anchor not in anchors(to)] == []


def test_a_guide_is_read_in_one_sitting():
    words = {page.stem: len(page.read_text().split()) for page in (ROOT / "docs" / "guides").glob("*.md")}
    assert {name: count for name, count in words.items() if count > 1200} == {}


def test_what_lies_where_is_true():
    tree = (ROOT / "CONTRIBUTING.md").read_text().split("## What lies where")[1].split("```")[1]
    names = [name for line in tree.strip().splitlines() for name in re.split(r"\s{2,}", line)[0].split()]
    assert len(names) > 15 and [name for name in names if not (ROOT / name).exists()] == []


def test_every_key_of_freehold_toml_says_what_it_is():
    page = (ROOT / "docs" / "reference" / "freehold-toml.md").read_text()
    empty = [line for line in page.splitlines() if re.match(r"\| `\w+` \|\s*\|", line)]
    assert not empty


def test_every_key_of_use_is_in_the_license_guide():
    guide = (ROOT / "docs" / "guides" / "license.md").read_text()
    missing = [key for key in UseProfile.__struct_fields__ if f"`{key}`" not in guide]
    assert not missing


def test_every_error_setting_and_command_is_documented():
    reference = ROOT / "docs" / "reference"
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert kinds and all(f"| `{kind.__name__}` |" in (reference / "errors.md").read_text() for kind in kinds)
    assert all(f"| `{s.variable}` |" in (reference / "settings.md").read_text() for s in SETTINGS)
    assert all(f"\n## freehold {name}\n" in (reference / "commands.md").read_text() for name in COMMANDS)


WAYS = re.findall(
    r"^\| (\w+) \| `([\w.]+)` \|", (ROOT / "docs" / "concepts" / "architecture.md").read_text(), re.MULTILINE
)
RECIPES = [*sorted((ROOT / "docs" / "adding").glob("*.md")), ROOT / "CONTRIBUTING.md"]


@functools.cache
def defined(path):
    """The names that a file defines on its top level."""
    targets = [
        target
        for node in ast.parse(path.read_text()).body
        for target in getattr(node, "targets", [getattr(node, "target", node)])
    ]
    return {getattr(target, kind, None) for target in targets for kind in ("name", "id")}


def defining(folder, name):
    """Files below a folder that define a name on their top level."""
    return [path for path in sorted(folder.rglob("*.py")) if name in defined(path)]


def test_what_the_architecture_names_is_in_that_room():
    assert len(WAYS) > 40
    source = ROOT / "src"
    for room, name in WAYS:
        first, *inner = name.split(".")
        modules = [
            importlib.import_module(".".join(path.relative_to(source).with_suffix("").parts))
            for path in defining(source / "freehold" / room, first)
        ]
        assert modules, name
        assert all(hasattr(getattr(module, first), each) for each in inner for module in modules), name


def test_what_recipes_name_is_there():
    for page in RECIPES:
        text = page.read_text()
        for name, folder in re.findall(r"`(\w+)(?:\.\w+)?` in\s+`((?:src|tests|scripts)\b[\w/]*)`", text):
            assert defining(ROOT / folder, name), f"{page.name}: {name} in {folder}"
        for path in re.findall(r"`((?:src|tests|docs|scripts|benchmarks)/[\w/.-]*)`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_every_threat_has_a_test_or_is_said_not_to_be_covered():
    text = (ROOT / "docs" / "security.md").read_text()
    threats = text.split("## Threats")[1].split("## Not covered")[0]
    rows = [
        line.strip("| ").split(" | ") for line in threats.splitlines() if re.match(r"\| (?!threat|-)", line)
    ]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)`", row[-1]) if len(row) == 3 else []
        assert named or "not covered" in row[1], row[0]
        assert [name for name in named if not (ROOT / "tests" / name).exists()] == []
