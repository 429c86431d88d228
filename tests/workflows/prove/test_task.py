import pytest
from tests.workflows.prove.test_evaluate import make_dataset, sample

from freehold.errors import ConfigError, UsageError
from freehold.settings import load as load_settings
from freehold.types.config import parse
from freehold.types.evaluation import Task
from freehold.workflows.project import Project
from freehold.workflows.prove.task import labels_held, task_labels, task_of

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


TASK = Task(name="t", scorer="label", options={"labels": ["yes", "no way"]})


def test_answers_are_held_to_the_labels_as_they_were_taught(tmp_path):
    dataset = make_dataset(tmp_path, [sample(n, gold="No_Way") for n in range(3)])
    assert task_labels(TASK) == ("yes", "no way")
    assert labels_held(TASK, dataset) == ("yes", "No_Way")


@pytest.mark.parametrize(
    "options",
    [{}, {"labels": ["yes", "no"], "anywhere": True}, {"labels": ["x" * 500, "no"]}],
)
def test_what_is_no_closed_set_is_not_held(tmp_path, options):
    dataset = make_dataset(tmp_path, [sample(1)])
    assert labels_held(Task(name="t", scorer="label", options=options), dataset) == ()
    assert labels_held(Task(name="t", scorer="exact"), dataset) == ()


@pytest.mark.parametrize(
    "own", [{"tools": [{"type": "function"}]}, {"response_format": {"type": "json_object"}}]
)
def test_requests_with_a_form_of_their_own_are_not_held(tmp_path, own):
    assert labels_held(TASK, make_dataset(tmp_path, [sample(1), sample(2, **own)])) == ()
