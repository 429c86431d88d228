import json
import os
import subprocess
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.errors import InputError
from freehold.workflows.incumbent.findings import sarif
from freehold.workflows.incumbent.scan import scan, words_of

DAY = date(2026, 11, 24)

PYTHON = '''"""Once called gpt-4-0613."""
import openai
from anthropic import Anthropic
# model = "gpt-4-0314"
MODEL = "gpt-4o-2024-08-06"
client = openai.OpenAI(base_url="https://api.openai.com/v1")
text = "we compared gpt-4o with others"
def call(model="claude-sonnet-4-5-20250929"):
    """Uses o3."""
    return model
tuned = "ft:gpt-4o-mini-2024-07-18:acme::x"
local = "openai/gpt-oss-20b"
'''

TYPESCRIPT = r"""
import OpenAI from "openai";
const anthropic = require('@anthropic-ai/sdk');
// const old = "gpt-4-0613";
/* "o3" */
const re = /"gpt-4o"/g; const half = total / 2; const b = "x" / 1;
const model = `gpt-4.1-mini`;
const url = `https://api.anthropic.com/v1/${path}`;
"""


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "app.py").write_text(PYTHON)
    (tmp_path / "web.ts").write_text(TYPESCRIPT)
    (tmp_path / "config.yaml").write_text("model: gemini-2.0-flash  # was gpt-4\nnames: [house-model]\n")
    (tmp_path / ".env").write_text("OPENAI_API_KEY=\nMODEL=gpt-3.5-turbo\n")
    (tmp_path / "notes.md").write_text("gpt-4o")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "x.js").write_text('const a = "gpt-4o";')
    return tmp_path


def seen(found, path):
    return [(finding.line, finding.kind, finding.text) for finding in found.findings if finding.path == path]


@pytest.mark.process
def test_python_uses_are_found_and_mentions_are_not(tree):
    assert seen(scan(tree, as_of=DAY), "app.py") == [
        (2, "sdk", "openai"),
        (3, "sdk", "anthropic"),
        (5, "model_id", "gpt-4o-2024-08-06"),
        (6, "endpoint", "https://api.openai.com/v1"),
        (8, "model_id", "claude-sonnet-4-5-20250929"),
        (11, "model_id", "ft:gpt-4o-mini-2024-07-18:acme::x"),
    ]


@pytest.mark.process
def test_typescript_comments_and_regular_expressions_are_no_uses(tree):
    assert seen(scan(tree, as_of=DAY), "web.ts") == [
        (2, "sdk", "openai"),
        (3, "sdk", "@anthropic-ai/sdk"),
        (7, "model_id", "gpt-4.1-mini"),
        (8, "endpoint", "https://api.anthropic.com/v1/"),
    ]


@pytest.mark.process
def test_configuration_and_environment_files(tree):
    found = scan(tree, as_of=DAY)
    assert seen(found, "config.yaml") == [(1, "model_id", "gemini-2.0-flash")]
    assert seen(found, ".env") == [(1, "key", "OPENAI_API_KEY"), (2, "model_id", "gpt-3.5-turbo")]
    assert not [finding for finding in found.findings if "node_modules" in finding.path]


@pytest.mark.process
def test_files_can_be_named_one_by_one_and_are_read_once(tree):
    found = scan([tree / "app.py", tree / ".env", tree / "app.py", tree], as_of=DAY)
    paths = [finding.path for finding in found.findings]
    assert set(paths) == {f"{tree.as_posix()}/{name}" for name in ("app.py", ".env", "web.ts", "config.yaml")}
    assert len(paths) == len(scan(tree, as_of=DAY).findings)
    with pytest.raises(InputError, match="no such file"):
        scan([tree / "app.py", tree / "gone"])


@pytest.mark.process
def test_names_that_others_use_too_count_where_the_file_shows_the_platform(tmp_path):
    (tmp_path / "hub.py").write_text('m = "qwen/qwen3-32b"\nn = "gemma2-9b-it"\n')
    (tmp_path / "groq.py").write_text('import groq\nm = "qwen/qwen3-32b"\n')
    (tmp_path / "address.py").write_text('u = "https://api.groq.com/openai/v1"\nm = "gemma2-9b-it"\n')
    (tmp_path / "route.py").write_text('m = "groq/qwen/qwen3-32b"\n')
    found = scan(tmp_path, as_of=DAY)
    assert [(one.path, one.model, one.status) for one in found.findings if one.model] == [
        ("address.py", "gemma2-9b-it", "ended"),
        ("groq.py", "qwen/qwen3-32b", "ended"),
        ("route.py", "groq/qwen/qwen3-32b", "ended"),
    ]


@pytest.mark.process
def test_the_summary_has_each_model_once_and_the_most_urgent_first(tmp_path):
    (tmp_path / "a.py").write_text(
        'a = "gpt-4o"\nb = "text-davinci-003"\nc = "gpt-4o"\nd = "gpt-image-1.5"\ne = "gpt-4"\nf = "grok-beta"\n'
        'g = "gpt-6-luna"\nh = "gpt-99"\ni = "command-r"\nj = f"gpt-4.1-{size}"\n'
    )
    found = scan(tmp_path, as_of=DAY)
    assert [(one.model, one.status, len(one.places)) for one in found.models] == [
        ("gpt-4", "ended", 1),
        ("text-davinci-003", "ended", 1),
        ("grok-beta", "gone", 1),
        ("gpt-image-1.5", "ends", 1),
        ("gpt-4.1-{…}", "ended", 1),
        ("gpt-4o", "ends", 2),
        ("command-r", "deprecated", 1),
        ("gpt-6-luna", "available", 1),
        ("gpt-99", "unknown", 1),
    ]
    assert found.models[5].places == ("a.py:1:5", "a.py:3:5")


@pytest.mark.process
def test_git_decides_which_files_count(tree):
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    (tree / ".gitignore").write_text("web.ts\nnode_modules/\n")
    paths = {finding.path for finding in scan(tree, as_of=DAY).findings}
    assert "app.py" in paths
    assert "web.ts" not in paths


@pytest.mark.process
def test_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "program.py").write_bytes(b"\x7fELF\x00")
    (tmp_path / "min.js").write_text("x" * 6000)
    skipped = dict(scan(tmp_path, as_of=DAY).skipped)
    assert skipped["bytes.py"] == skipped["program.py"] == "not text"
    assert "minified" in skipped["min.js"]
    with pytest.raises(InputError, match="no such file"):
        scan(tmp_path / "nowhere")


@pytest.mark.process
def test_pipes_and_links_are_left_alone(tmp_path):
    (tmp_path / "app.py").write_text('m = "gpt-4o"\n')
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "endless.py").symlink_to("/dev/zero")
    (tmp_path / "nowhere.py").symlink_to("gone")
    found = scan(tmp_path, as_of=DAY)
    assert (found.files, len(found.findings)) == (1, 1)
    with pytest.raises(InputError, match="neither a file nor a folder"):
        scan(tmp_path / "pipe.py")


@pytest.mark.process
@pytest.mark.parametrize("git", [False, True])
def test_any_file_name_can_be_printed(tmp_path, git):
    for name in (b"caf\xe9.py", b"a\nb.py", b"\x1b[31mred.py", "größe 1.py".encode()):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text('m = "gpt-4o"\n')
    if git:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    found = scan(tmp_path, as_of=DAY)
    assert sorted(one.path for one in found.findings) == [
        r"\x1b[31mred.py",
        r"a\nb.py",
        "caf�.py",
        "größe 1.py",
    ]
    for shape in ([], ["--json"], ["--sarif"]):
        assert (
            CliRunner().invoke(cli, ["scan", str(tmp_path), "--as-of", "2026-11-24", *shape]).exit_code == 0
        )
    uris = [
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for one in sarif(found, fail_within=30)["runs"][0]["results"]
    ]
    assert "gr%C3%B6%C3%9Fe%201.py" in uris


@pytest.mark.process
def test_no_secret_of_an_address_is_shown(tmp_path):
    (tmp_path / "a.py").write_text('url = "https://user:pw@api.openai.com/v1?key=sk-secret"\n')
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-secret\nBASE=user:pw@api.openai.com/v1\n")
    found = scan(tmp_path, as_of=DAY)
    assert seen(found, "a.py") == [(1, "endpoint", "https://api.openai.com/v1")]
    assert not any(word in repr(found) for word in ("pw", "sk-secret"))


@pytest.mark.process
def test_scanning_a_folder_runs_none_of_its_programs(tmp_path, monkeypatch):
    """Each program that the folder's own git configuration names, and one called git in the current folder."""
    ran, planted = tmp_path / "ran", tmp_path / "planted"
    planted.write_text(f"#!/bin/sh\necho $0 >> {ran}\n")
    planted.chmod(0o755)
    root = tmp_path / "theirs"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "a.py").write_text('m = "gpt-4o"\n')
    (root / ".gitattributes").write_text("*.py filter=evil diff=evil\n")
    hooks = root / ".git" / "hooks"
    for name in ("post-checkout", "fsmonitor-watchman", "post-index-change"):
        (hooks / name).write_bytes(planted.read_bytes())
        (hooks / name).chmod(0o755)
    names = "core.fsmonitor core.pager core.sshCommand filter.evil.clean diff.external diff.evil.textconv"
    for key in names.split():
        subprocess.run(["git", "-C", str(root), "config", key, str(planted)], check=True)
    (root / "git").write_bytes(planted.read_bytes())
    (root / "git").chmod(0o755)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(planted))
    assert [one.path for one in scan(root, as_of=DAY).findings] == ["a.py"]
    assert not ran.exists()


@pytest.mark.process
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


@pytest.mark.process
def test_python_that_does_not_parse_is_read(tmp_path):
    source = '"""was gpt-4-0314"""\nimport openai\nprint "x"\nm = u"gpt-4o"  # o3\ncall(m,\n     "o1",\n'
    (tmp_path / "two.py").write_text(source)
    found = scan(tmp_path, as_of=DAY)
    assert seen(found, "two.py") == [(2, "sdk", "openai"), (4, "model_id", "gpt-4o"), (6, "model_id", "o1")]


@pytest.mark.process
def test_a_long_line_of_data_hides_no_model(tmp_path):
    (tmp_path / "data.py").write_text(f'm = "gpt-4o"\nblob = "{"A" * 6000}"\n')
    assert seen(scan(tmp_path, as_of=DAY), "data.py") == [(1, "model_id", "gpt-4o")]


@pytest.mark.process
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


@pytest.mark.process
def test_a_shells_bodies_and_options_are_read():
    source = 'curl -d \'{"model": "gpt-4o"}\' --model=o3\ncat <<EOF\n{"model": "claude-2.1"}\nEOF\nexport M=o1 # o4\n'
    found = [(word.text, word.line) for word in words_of(source, "config")]
    assert {("gpt-4o", 1), ("o3", 1), ("claude-2.1", 3), ("o1", 5)} <= set(found)
    assert "o4" not in [text for text, _ in found]
    assert "gpt-4o" in [word.text for word in words_of('variable "m" {\n  default = "gpt-4o"\n}\n', "config")]


@pytest.mark.process
def test_a_folder_that_may_not_be_read_is_said(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def closed(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert scan(tmp_path, as_of=DAY).skipped == (("closed/", "Permission denied"),)
