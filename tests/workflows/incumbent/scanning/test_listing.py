import pytest

from freehold.workflows.incumbent.scanning.listing import files, printable


@pytest.mark.process
def test_folders_of_dependencies_are_left_out(tmp_path):
    for name in ("app/a.py", "node_modules/x.js", ".venv/lib/y.py", "build/z.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("pass\n")
    skipped = []
    assert [path.relative_to(tmp_path).as_posix() for path in files(tmp_path, skipped)] == ["app/a.py"]
    assert skipped == []


def test_a_path_cannot_steer_a_terminal():
    assert printable("a\x1b[31m.py") == r"a\x1b[31m.py"
