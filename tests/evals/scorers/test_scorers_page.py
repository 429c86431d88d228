"""docs/reference/scorers.md names every scorer, every option, and nothing else."""

import importlib
import re
from pathlib import Path

import msgspec
import pytest

from freehold.evals.judging.judge import JudgeOptions
from freehold.evals.scorer import Options
from freehold.evals.scorers import SCORERS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "scorers.md"


def sections():
    parts = re.split(r"^## (\w+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def options_of(name):
    if name == "judge":
        return JudgeOptions
    module = importlib.import_module(SCORERS[name].partition(":")[0])
    return next(
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Options) and one.__module__ == module.__name__
    )


def test_every_scorer_has_a_section():
    assert list(sections()) == list(SCORERS)


@pytest.mark.parametrize("name", SCORERS)
def test_every_option_is_in_the_table(name):
    rows = re.findall(r"^\| (`[^|]*`) \|", sections()[name], flags=re.MULTILINE)
    documented = {option for row in rows for option in re.findall(r"`(\w+)`", row)}
    assert documented == {field.encode_name for field in msgspec.structs.fields(options_of(name))}
