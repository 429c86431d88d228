from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.scanning.word import shown


def test_a_hole_is_printed_as_an_ellipsis():
    assert shown(f"gpt-4.1-{HOLE}-x") == "gpt-4.1-{…}-x"
    assert shown("gpt-4o") == "gpt-4o"
