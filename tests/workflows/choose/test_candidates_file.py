import pytest

from freehold.errors import ConfigError
from freehold.types.config import CandidateConfig, parse
from freehold.workflows.choose.candidates_file import put


def models(*names):
    return tuple(CandidateConfig(model=name) for name in names)


APP = '# mine\n[app]\nname = "a"   # stays\n'


@pytest.mark.parametrize(
    "body",
    [
        "",
        '\n[candidates]\nmodels = ["x/y"]  # these\n',
        '\n[candidates]\nmodels = [\n  "x/y",\n  # "no/longer",\n  "z/w",\n]\n\n[task]\nmargin = 0.05\n',
        "\n[candidates]\n\n[task]\nmargin = 0.05\n",
        "\n[candidates]",
    ],
)
def test_only_the_candidates_change(tmp_path, body):
    path = tmp_path / "freehold.toml"
    path.write_text(APP + body)
    before = parse(path.read_text())
    put(path, models("a/b", "c/d"))
    after = parse(path.read_text())
    assert after.candidates.models == ("a/b", "c/d")
    assert (after.app, after.task) == (before.app, before.task)
    assert path.read_text().startswith(APP)
    once = path.read_text()
    put(path, models("a/b", "c/d"))
    assert path.read_text() == once


@pytest.mark.parametrize(
    "text", ['candidates = { models = ["x/y"] }\n' + APP, 'candidates.models = ["x/y"]\n' + APP]
)
def test_another_spelling_is_left_alone(tmp_path, text):
    path = tmp_path / "freehold.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="cannot be changed here") as caught:
        put(path, models("a/b"))
    assert 'models = ["a/b"]' in caught.value.hint
    assert path.read_text() == text


def test_tables_get_those_that_none_of_them_names(tmp_path):
    path = tmp_path / "freehold.toml"
    path.write_text(APP + '\n[[candidates]]\nmodel = "a/b"\nmethod = "as_is"\n\n[task]\nmargin = 0.05\n')
    put(path, models("a/b", "c/d"))
    after = parse(path.read_text())
    assert [(one.model, one.method) for one in after.candidates] == [("a/b", "as_is"), ("c/d", None)]
    assert after.task.margin == 0.05 and path.read_text().startswith(APP)
    once = path.read_text()
    put(path, models("a/b", "c/d"))
    assert path.read_text() == once


ENCODER = CandidateConfig(model="sentence-transformers/all-MiniLM-L6-v2", method="encoder")


@pytest.mark.parametrize(
    "body",
    [
        "",
        '\n[candidates]\nmodels = ["x/y"]  # these\n',
        '\n[candidates]\nmodels = [\n  "x/y",\n]\n\n[task]\nmargin = 0.05\n',
        '\n[task]\nmargin = 0.05\n\n[candidates]\nmodels = ["x/y"]',
    ],
)
def test_one_with_a_method_of_its_own_makes_tables_of_all(tmp_path, body):
    path = tmp_path / "freehold.toml"
    path.write_text(APP + body)
    before = parse(path.read_text())
    chosen = (ENCODER, *models("a/b"))
    put(path, chosen)
    after = parse(path.read_text())
    assert after.candidates == chosen
    assert (after.app, after.task) == (before.app, before.task)
    once = path.read_text()
    assert once.startswith(APP)
    put(path, chosen)
    assert path.read_text() == once
    put(path, models(ENCODER.model))
    assert path.read_text() == once, "a table names it already"
