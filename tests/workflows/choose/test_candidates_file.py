import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.types.config import CandidateConfig, parse
from freehold.workflows.choose.candidates_file import put

APP = '# mine\n[app]\nname = "a"   # stays\n'
ENCODER = CandidateConfig(model="sentence-transformers/all-MiniLM-L6-v2", method="encoder")


@pytest.mark.parametrize(
    "body",
    [
        "",
        '\n[[candidates]]\nmodel = "a/b"\nmethod = "as_is"\n\n[task]\nmargin = 0.05\n',
        '\n[task]\nmargin = 0.05\n\n[[candidates]]\nmodel = "x/y"',
    ],
)
def test_those_that_the_file_does_not_name_are_added_once(tmp_path, body):
    path = tmp_path / "freehold.toml"
    path.write_text(APP + body)
    before = parse(path.read_text())
    chosen = (ENCODER, CandidateConfig(model="a/b"))
    put(path, chosen)
    after = parse(path.read_text())
    known = before.candidates or ()
    assert after.candidates == (*known, ENCODER, *([] if "a/b" in body else chosen[1:]))
    assert (after.app, after.task) == (before.app, before.task)
    once = path.read_text()
    assert once.startswith(APP)
    put(path, (*chosen, CandidateConfig(model=ENCODER.model)))
    assert path.read_text() == once


def test_an_encoder_that_leads_is_written_with_its_method(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    path = tmp_path / "freehold.toml"
    path.write_text(APP + '\n[task]\nscorer = "label"\n')
    result = CliRunner().invoke(cli, ["assess", "--write", "3"])
    assert result.exit_code == 0, result.output
    written = parse(path.read_text()).candidates
    assert len(written) == 3
    assert [one.method for one in written] == ["encoder", None, None]
    told = result.stdout.partition("[[candidates]]")
    assert parse(APP + told[1] + told[2]).candidates == written, "what is shown is what is written"
