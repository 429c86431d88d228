"""The page of what faults cost: a row for each fault, made by the command."""

import datetime

import pytest
from tests.faults.page import BEGIN, END, PAGE, markdown, replaced, terminal_line
from tests.faults.table import FAULTS
from tests.faults.test_faults import GOOD

AT = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)


def test_the_page_has_a_row_for_each_fault_and_no_other():
    made = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line.strip("| ").split(" | ")[0] for line in made.splitlines() if line.startswith("|")]
    assert rows[2:] == list(FAULTS)
    assert "python -m tests.faults" in made


def test_what_is_made_takes_the_place_of_what_was_made():
    made = markdown([GOOD, GOOD._replace(silent=2, silent_s=0.25)], command="python -m tests.faults", at=AT)
    page = replaced(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n", made)
    assert page.startswith("before\n") and page.endswith(f"{END}\n\nafter\n") and "old" not in page
    assert "Measured on 2026-11-26 with `python -m tests.faults`, on " in page
    assert "2 (0.25 s of traffic a fault)" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert replaced(page, made) == page


def test_a_page_without_a_place_for_it_is_not_touched():
    with pytest.raises(ValueError, match="lacks"):
        replaced("nothing here", "made")


def test_a_result_is_told_in_a_terminal():
    told = terminal_line(GOOD)
    assert "store full × 2: 100 × 200; longest wait 0.1 s" in told and "counted 7, neither 0" in told
    assert "not in 90 s" in terminal_line(GOOD._replace(stores_again_s=None))
