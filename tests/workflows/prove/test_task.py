import pytest

from freehold.errors import ConfigError, UsageError
from freehold.settings import load as load_settings
from freehold.types.config_file import parse
from freehold.workflows.project import Project
from freehold.workflows.prove.task import task_of

TOML = """
[app]
name = "shop"
[task]
scorer = "label"
margin = 0.03
max_tokens = 12
[task.options]
labels = ["yes", "no"]
"""


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, parse(TOML), load_settings({"FREEHOLD_HOME": str(tmp_path / "home")}), None)


def test_the_file_says_what_the_command_line_does_not(project):
    task = task_of(project)
    assert (task.name, task.scorer, task.margin, task.max_tokens) == ("shop", "label", 0.03, 12)
    assert task.options == {"labels": ["yes", "no"]}
    task = task_of(project, margin=0.1, alpha=0.05, options={"default": "no"})
    assert (task.margin, task.alpha) == (0.1, 0.05)
    assert task.options == {"labels": ["yes", "no"], "default": "no"}


def test_a_toml_file_is_taken_whole(project, tmp_path):
    path = tmp_path / "other.toml"
    path.write_text('[task]\nscorer = "numeric"\nmargin = 0.2\n')
    task = task_of(project, scorer=str(path))
    assert (task.name, task.scorer, task.margin, task.options) == ("shop", "numeric", 0.2, {})
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        task_of(project, scorer=str(tmp_path / "none.toml"))
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not valid UTF-8"):
        task_of(project, scorer=str(path))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"margin": 0.0}, "margin is 0, expected above 0 and below 1"),
        ({"margin": 1.0}, "margin is 1, expected above 0 and below 1"),
        ({"alpha": 0.5}, "alpha is 0.5, expected between 0 and 0.5"),
    ],
)
def test_a_margin_or_alpha_that_cannot_be(project, wrong, message):
    with pytest.raises(UsageError, match=message):
        task_of(project, **wrong)
