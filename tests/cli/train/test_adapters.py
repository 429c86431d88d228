"""What is kept of a run is in tests/workflows/train/test_adapters.py."""

import pytest
from tests.workflows.train.test_adapters import manifest

from freehold.cli.train.adapters import sparkline
from freehold.types.config import FinetuneConfig


@pytest.fixture
def adapters(freehold, project):
    folder = project / ".freehold" / "adapters"
    return [
        manifest(folder / "support-1"),
        manifest(folder / "support-2", id="c" * 32, config=FinetuneConfig(r=8), final_loss=0.5),
    ]


def test_they_are_listed_and_shown(freehold, adapters):
    assert [one["id"] for one in freehold("adapters", "list", "--json").items] == [one.id for one in adapters]
    assert freehold("adapters", "list").out.splitlines()[1].endswith("loss 0.5000  10 steps")
    assert freehold("adapters", "show", "aaaa", "--json").json["base_model"] == "test/tiny"


def test_one_is_removed_with_a_yes(freehold, adapters, project):
    ran = freehold("adapters", "rm", "aaaa", "--yes")
    assert ran.code == 0 and ran.out.startswith("freed ")
    assert not (project / ".freehold" / "adapters" / "support-1").exists()
    told = freehold("adapters", "rm", "cccc", "--yes", "--json").fields
    assert told["name"] == "support" and told["freed_bytes"] > 0


def test_none_yet(freehold, project):
    assert freehold("adapters", "list").err == "no adapters yet; freehold train makes one\n"
    assert freehold("adapters", "list", "--json").items == []


def test_mistakes(refused, freehold, adapters):
    refused("adapters", "show", "support", message="2 adapters are called support")
    refused("adapters", "export", "gone", "--as", "peft", message="no adapter gone")
    assert "'--as'" in freehold("adapters", "export", "support").err


@pytest.mark.parametrize(
    ("values", "line"),
    [([], ""), ([1.0], "▁"), ([2.0, 1.0, 1.5], "█▁▅"), ([float(n) for n in range(80)], None)],
)
def test_a_curve_is_one_line(values, line):
    drawn = sparkline(values)
    assert len(drawn) <= 40
    assert line is None or drawn == line
