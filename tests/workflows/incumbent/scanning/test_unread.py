from pathlib import Path

import pytest

from freehold.workflows.incumbent.scan import MOST_NAMED, Unread, files_under


def test_code_comes_first_and_is_named_whole():
    others = Unread()
    for n in range(30):
        others.add(Path(f"{n}.md"), f"{n}.md")
        others.add(Path(f"{n}.swift"), f"{n}.swift")
    code, prose = others.groups()
    assert (code.reason, code.count, len(code.paths)) == ("no reader for Swift", 30, 30)
    assert (prose.reason, prose.count, len(prose.paths)) == ("prose", 30, MOST_NAMED)


@pytest.mark.process
def test_folders_of_dependencies_are_left_out(tmp_path):
    for name in ("app/a.py", "node_modules/x.js", ".venv/lib/y.py", "build/z.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("pass\n")
    skipped = []
    assert [path.relative_to(tmp_path).as_posix() for path in files_under(tmp_path, skipped)] == ["app/a.py"]
    assert skipped == []
