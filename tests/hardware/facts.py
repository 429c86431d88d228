"""Published figures, where the folder with them is given."""

import csv
import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("FREEHOLD_TEST_SHARED", Path(__file__).parents[3] / "shared"))


def facts(name):
    path = SHARED / "facts" / name
    if not path.exists():
        pytest.skip(f"{path} is not here: set FREEHOLD_TEST_SHARED")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
