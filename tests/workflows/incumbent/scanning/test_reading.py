import json

import pytest
from tests.workflows.incumbent.test_scan import DAY, seen

from freehold.workflows.incumbent.scan import scan
from freehold.workflows.incumbent.scanning.reading import words

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("mark.py", b'\xef\xbb\xbfm = "gpt-4o"\n'),
        ("mark.json", b'\xef\xbb\xbf{"m": "gpt-4o"}\n'),
        ("wide.py", 'm = "gpt-4o"\n'.encode("utf-16")),
        ("coding.py", b'# -*- coding: latin-1 -*-\nm = "gpt-4o"  # \xe9\n'),
        ("nobody.py", b'# -*- coding: klingon -*-\nm = "gpt-4o"\n'),
        ("old.js", b'const m = "gpt-4o"; // caf\xe9\n'),
    ],
)
def test_a_file_is_read_however_it_is_written(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    found = scan(tmp_path, as_of=DAY)
    assert [one.text for one in found.findings] == ["gpt-4o"]
    assert not found.skipped


def test_python_that_does_not_parse_is_read(tmp_path):
    source = '"""was gpt-4-0314"""\nimport openai\nprint "x"\nm = u"gpt-4o"  # o3\ncall(m,\n     "o1",\n'
    (tmp_path / "two.py").write_text(source)
    found = scan(tmp_path, as_of=DAY)
    assert seen(found, "two.py") == [(2, "sdk", "openai"), (4, "model_id", "gpt-4o"), (6, "model_id", "o1")]


def test_a_long_line_of_data_hides_no_model(tmp_path):
    (tmp_path / "data.py").write_text(f'm = "gpt-4o"\nblob = "{"A" * 6000}"\n')
    assert seen(scan(tmp_path, as_of=DAY), "data.py") == [(1, "model_id", "gpt-4o")]


def test_code_cells_of_a_notebook_are_read(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["we use gpt-4-0613"]},
        {"cell_type": "code", "source": ["%pip install openai\n", "import openai\n", 'model = "gpt-4o"\n']},
        {"cell_type": "code", "source": ["this is not python 'o3'"]},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}, indent=1))
    lines = (tmp_path / "a.ipynb").read_text().splitlines()
    whole = scan(tmp_path, as_of=DAY)
    found = whole.findings
    assert [(one.kind, one.text) for one in found] == [
        ("sdk", "openai"),
        ("model_id", "gpt-4o"),
        ("model_id", "o3"),
    ]
    assert "import openai" in lines[found[0].line - 1]
    assert "gpt-4o" in lines[found[1].line - 1]
    (tmp_path / "b.ipynb").write_text("[]")
    assert "not a notebook" in dict(scan(tmp_path, as_of=DAY).skipped)["b.ipynb"]


def test_a_shells_bodies_and_options_are_read():
    source = 'curl -d \'{"model": "gpt-4o"}\' --model=o3\ncat <<EOF\n{"model": "claude-2.1"}\nEOF\nexport M=o1 # o4\n'
    found = [(word.text, word.line) for word in words(source, "config")]
    assert {("gpt-4o", 1), ("o3", 1), ("claude-2.1", 3), ("o1", 5)} <= set(found)
    assert "o4" not in [text for text, _ in found]
    assert "gpt-4o" in [word.text for word in words('variable "m" {\n  default = "gpt-4o"\n}\n', "config")]
