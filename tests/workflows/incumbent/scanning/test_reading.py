import json
from datetime import date

import pytest
from tests.workflows.incumbent.test_scan import DAY, PYTHON, seen

from freehold.workflows.incumbent.scan import scan
from freehold.workflows.incumbent.scanning.reading import words
from freehold.workflows.incumbent.scanning.sarif import MOST_MODELS, MOST_PLACES, sarif, scan_markdown

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


DAY_of_markdown = date(2026, 11, 29)


def test_models_that_end_come_first_with_their_places(tmp_path):
    for number in range(MOST_PLACES + 2):
        (tmp_path / f"gone{number}.py").write_text('ask(model="gpt-4-0613")\n')
    (tmp_path / "b.py").write_text('ask(model="gpt-4o-mini")\n')
    text = scan_markdown(scan((tmp_path,), as_of=DAY_of_markdown), fail_within=30)
    lines = text.splitlines()
    assert lines[0] == "### ✕ Scan: 1 rented model is shut down, or will be within 30 days"
    assert lines[4].startswith("| ✕ | gpt\\-4\\-0613\\: shut down on")
    assert "and 2 more |" in lines[4]
    assert lines[-1] == f"{MOST_PLACES + 3} files read, as of 2026-11-29"


def test_names_of_files_write_no_markup_and_many_models_are_counted(tmp_path):
    (tmp_path / "@team `x` | y.py").write_text('ask(model="gpt-4-0613")\n')
    names = "\n".join(f'ask(model="gpt-4-0613-{number}x")' for number in range(3))
    (tmp_path / "more.py").write_text(names + "\n")
    text = scan_markdown(scan((tmp_path,), as_of=DAY_of_markdown), fail_within=30)
    (row,) = [line for line in text.splitlines() if "@team" in line]
    assert "`@team 'x' \\| y.py:1:11`" in row
    found = scan((tmp_path,), as_of=DAY_of_markdown)
    assert len(found.models) < MOST_MODELS


def test_results_have_levels_and_places(tmp_path):
    (tmp_path / "app.py").write_text(PYTHON)
    made = sarif(scan(tmp_path, as_of=DAY), fail_within=30)
    results = made["runs"][0]["results"]
    levels = {result["message"]["text"].split(":")[0]: result["level"] for result in results}
    assert levels["claude-sonnet-4-5-20250929"] == "error"
    assert levels["gpt-4o-2024-08-06"] == "warning"
    assert levels["openai"] == "note"
    rules = {rule["id"] for rule in made["runs"][0]["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in results} <= rules
    assert results[0]["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1


def test_a_file_that_was_not_read_is_a_notification(tmp_path):
    (tmp_path / "broken file.py").write_bytes(b"\x7fELF\x00")
    run = sarif(scan(tmp_path, as_of=DAY), fail_within=30)["runs"][0]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    (told,) = invocation["toolExecutionNotifications"]
    assert "not text" in told["message"]["text"]
    assert told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "broken%20file.py"
