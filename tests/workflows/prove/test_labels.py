import pytest
from tests.workflows.prove.held_out import make_dataset
from tests.workflows.prove.test_evaluate import sample

from freehold.types.evaluation import Task
from freehold.workflows.prove.labels import labels_held, task_labels

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
