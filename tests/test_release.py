"""The cut of a release: the number that follows, and the changelog by version."""

import datetime

import pytest
from tests.test_supply_chain import ROOT, script

from freehold import __version__

DAY = datetime.date(2026, 12, 1)
CHANGELOG = "# Changelog\n\n## Unreleased\n\n- b\n- a\n"


@pytest.fixture(scope="module")
def release():
    return script("release")


def test_what_was_unreleased_gets_the_version(release):
    first = release.cut(CHANGELOG, "0.1.0", DAY)
    assert first == "# Changelog\n\n## Unreleased\n\n## 0.1.0 (2026-12-01)\n\n- b\n- a\n"
    assert release.released(first) == ["0.1.0"]
    with pytest.raises(ValueError, match="nothing is unreleased"):
        release.cut(first, "0.1.1", DAY)
    second = release.cut(first.replace("Unreleased\n", "Unreleased\n\n- c\n"), "0.2.0", DAY)
    assert release.released(second) == ["0.2.0", "0.1.0"]
    assert second.index("- c") < second.index("## 0.1.0") < second.index("- b")


@pytest.mark.parametrize(
    ("version", "last", "right"),
    [
        ("0.1.1", "0.1.0", True),
        ("0.2.0", "0.1.9", True),
        ("1.0.0", "0.9.3", True),
        ("0.1.0", "0.1.0", False),
        ("0.1.3", "0.1.1", False),
        ("0.2.1", "0.1.0", False),
        ("0.0.9", "0.1.0", False),
        ("0.1.0", None, True),
    ],
)
def test_a_version_follows_the_last_one_by_one_step(release, version, last, right):
    assert release.follows(version, last) is right


@pytest.mark.parametrize("version", ["1", "0.1", "0.1.0rc1", "v0.1.0", "01.1.0", "0.1.0\n"])
def test_what_is_not_a_version_is_refused(release, version):
    with pytest.raises(ValueError, match="is not a version"):
        release.cut(CHANGELOG, version, DAY)


def test_the_version_stands_in_one_place(release):
    source = (ROOT / "src" / "freehold" / "__init__.py").read_text()
    assert f'__version__ = "{__version__}"' in source
    assert '__version__ = "9.9.9"' in release.with_version(source, "9.9.9")
    with pytest.raises(ValueError, match="__version__"):
        release.with_version("", "9.9.9")
    release.numbers(__version__)


def test_the_changelog_of_today_can_be_cut(release):
    text = (ROOT / "CHANGELOG.md").read_text().replace("## Unreleased\n", "## Unreleased\n\n- new\n", 1)
    last = release.released(text)
    version = __version__ if not last else _next(release.numbers(last[0]))
    made = release.cut(text, version, DAY)
    assert release.released(made)[0] == version
    assert made.replace(f"## {version} ({DAY})\n\n", "", 1).count("\n- ") == text.count("\n- ")


def _next(numbers):
    major, minor, patch = numbers
    return f"{major}.{minor}.{patch + 1}"


def test_the_chart_gets_the_version_too(release):
    chart = release.CHART.read_text()
    changed = release.with_chart_version(chart, "9.9.9")
    assert changed == chart.replace(__version__, "9.9.9") and changed.count("9.9.9") == 2
    with pytest.raises(ValueError, match=r"Chart\.yaml"):
        release.with_chart_version("name: freehold\n", "9.9.9")
