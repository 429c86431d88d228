import json
from pathlib import PurePath

import pytest
from tests.workflows.incumbent.test_scan import DAY, seen

from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.scan import scan
from freehold.workflows.incumbent.scanning.reading import PartlyReadError, decoded, language_of, words


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


def test_python_that_does_not_parse_is_read_as_far_as_it_goes(tmp_path):
    source = '"""was gpt-4-0314"""\nimport openai\nprint "x"\nm = u"gpt-4o"  # o3\ncall(m,\n     "o1",\n'
    (tmp_path / "two.py").write_text(source)
    found = scan(tmp_path, as_of=DAY)
    assert seen(found, "two.py") == [(2, "sdk", "openai"), (4, "model_id", "gpt-4o"), (6, "model_id", "o1")]
    ((name, reason),) = found.skipped
    assert name == "two.py"
    assert reason.endswith("only its strings were read")


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
    assert dict(whole.skipped)["a.ipynb"] == "1 of 2 code cells are not Python: only its strings were read"
    (tmp_path / "b.ipynb").write_text("[]")
    assert "not a notebook" in dict(scan(tmp_path, as_of=DAY).skipped)["b.ipynb"]


def texts(source, language):
    return [(word.text, word.line, word.kind) for word in words(source, language)]


def test_python_strings_and_imports_have_places_and_docstrings_are_none():
    source = 'import a.b\nfrom c import d\nfrom . import e\ndef f():\n    """g"""\n    return "h" "i"\n'
    assert texts(source, "python") == [("a.b", 1, "import"), ("c", 2, "import"), ("hi", 6, "string")]


def test_comments_of_a_configuration_are_left_out():
    source = "model: gpt-4o  # was gpt-4\nurl: https://x/y // old"
    assert [text for text, _, _ in texts(source, "config")] == ["model", "gpt-4o", "url", "https://x/y"]


def test_what_is_not_read_whole_says_why():
    with pytest.raises(PartlyReadError, match=r"not valid Python .* in line 1\): only its strings") as raised:
        words("def (:\n    'gpt-4o'\n", "python")
    assert isinstance(raised.value.words, list)
    with pytest.raises(ValueError, match="minified or generated"):
        words("x" * 6000, "javascript")
    with pytest.raises(ValueError, match="not text"):
        decoded(b"\xff\xfe\x00", "config")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('"claude-3-5-" + "sonnet-20241022"', "claude-3-5-sonnet-20241022"),
        ('f"gpt-4.1-{size}"', f"gpt-4.1-{HOLE}"),
        ('"gpt-4.1-" + size', f"gpt-4.1-{HOLE}"),
        ('"gpt-4.1-%s" % size', f"gpt-4.1-{HOLE}"),
        ('"gpt-4.1-{}".format(size)', f"gpt-4.1-{HOLE}"),
        ('"gpt-" + f"4.1-{size}" + "-x"', f"gpt-4.1-{HOLE}-x"),
    ],
)
def test_a_name_put_together_in_python_is_one_word(source, text):
    assert texts(f"m = {source}\n", "python") == [(text, 1, "string")]


def test_strings_inside_the_parts_of_a_joined_name_are_read():
    assert texts("a = f\"gpt-{pick('o3')}\"\n", "python") == [
        (f"gpt-{HOLE}", 1, "string"),
        ("o3", 1, "string"),
    ]
    assert texts('a = "we use " + "gpt-4o"\n', "python") == [
        ("we use ", 1, "string"),
        ("gpt-4o", 1, "string"),
    ]
    assert texts("a = " + " + ".join(['"x"'] * 300) + "\n", "python")[0] == ("x", 1, "string")  # data


def test_what_is_taken_from_a_shared_package_is_named():
    assert texts("from google import genai, cloud\n", "python") == [
        ("google.genai", 1, "import"),
        ("google.cloud", 1, "import"),
    ]


def test_a_body_in_a_string_sets_its_model():
    source = 'a = \'{"model": "gpt-4o", "n": 1}\'\nb = """\n  {"model_name":\n  "o3"}"""\n'
    assert [(text, line) for text, line, _ in texts(source, "python") if text in ("gpt-4o", "o3")] == [
        ("gpt-4o", 1),
        ("o3", 4),
    ]


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("a.go", "go"), ("A.java", "java"), ("A.kt", "kotlin"), ("A.cs", "csharp"), ("a.rb", "ruby"), ("Gemfile",
        "ruby"),
        ("a.php", "php"), ("a.rs", "rust"), ("a.sh", "shell"), ("a.tf", "terraform"), ("a.yml", "config"), (".env",
        "config"),
        (".env.local", "config"), ("a.ipynb", "notebook"), ("a.toml", "config"), ("build.gradle.kts", "config"),
        ("App.csproj", "config"), ("go.mod", "config"), ("go.sum", None), ("a.swift", None), ("README.md", None),
    ],
)  # fmt: skip
def test_a_file_is_known_by_its_name(name, language):
    assert language_of(PurePath(name)) == language
