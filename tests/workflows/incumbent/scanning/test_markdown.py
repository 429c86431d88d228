from datetime import date

import pytest

from freehold.workflows.incumbent.scan import scan
from freehold.workflows.incumbent.scanning.sarif import MOST_MODELS, MOST_PLACES, scan_markdown

pytestmark = pytest.mark.process

DAY = date(2026, 11, 29)


def test_models_that_end_come_first_with_their_places(tmp_path):
    for number in range(MOST_PLACES + 2):
        (tmp_path / f"gone{number}.py").write_text('ask(model="gpt-4-0613")\n')
    (tmp_path / "b.py").write_text('ask(model="gpt-4o-mini")\n')
    text = scan_markdown(scan((tmp_path,), as_of=DAY), fail_within=30)
    lines = text.splitlines()
    assert lines[0] == "### ✕ Scan: 1 rented model is shut down, or will be within 30 days"
    assert lines[4].startswith("| ✕ | gpt\\-4\\-0613\\: shut down on")
    assert "and 2 more |" in lines[4]
    assert lines[-1] == f"{MOST_PLACES + 3} files read, as of 2026-11-29"


def test_names_of_files_write_no_markup_and_many_models_are_counted(tmp_path):
    (tmp_path / "@team `x` | y.py").write_text('ask(model="gpt-4-0613")\n')
    names = "\n".join(f'ask(model="gpt-4-0613-{number}x")' for number in range(3))
    (tmp_path / "more.py").write_text(names + "\n")
    text = scan_markdown(scan((tmp_path,), as_of=DAY), fail_within=30)
    (row,) = [line for line in text.splitlines() if "@team" in line]
    assert "`@team 'x' \\| y.py:1:11`" in row
    found = scan((tmp_path,), as_of=DAY)
    assert len(found.models) < MOST_MODELS
