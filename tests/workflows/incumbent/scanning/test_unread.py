from pathlib import Path

from freehold.workflows.incumbent.scanning.listing import MOST_NAMED, Unread


def test_code_comes_first_and_is_named_whole():
    others = Unread()
    for n in range(30):
        others.add(Path(f"{n}.md"), f"{n}.md")
        others.add(Path(f"{n}.swift"), f"{n}.swift")
    code, prose = others.groups()
    assert (code.reason, code.count, len(code.paths)) == ("no reader for Swift", 30, 30)
    assert (prose.reason, prose.count, len(prose.paths)) == ("prose", 30, MOST_NAMED)
