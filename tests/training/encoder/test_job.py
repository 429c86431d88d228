"""An encoder's job, and the texts and labels it is given."""

import msgspec
import pytest
from tests.training.encoder.conftest import label_samples, sample, write_dataset

from freehold.errors import InputError, UsageError
from freehold.training import encoder
from freehold.training.encoder.job import RECORD, unlabelled_texts
from freehold.training.encoder.prepared import prepare
from freehold.types.dataset import Message
from freehold.types.encoder import EncoderConfig


@pytest.fixture
def job_of(tmp_path, base_weights):
    dataset = write_dataset(tmp_path / "data", label_samples(9))

    def make(unlabelled=(), name="shop", **config):
        return encoder.make(
            config=EncoderConfig(**config), dataset=dataset, base=base_weights, out_dir=tmp_path / "out", name=name,
            unlabelled=unlabelled,
        )  # fmt: skip

    return make


def test_what_decides_the_result_names_the_job(job_of):
    assert job_of().id == job_of(threads=2).id
    assert len({job_of().id, job_of(seed=1).id, job_of(stage="frozen").id, job_of(["a text"]).id}) == 4


def test_texts_without_an_answer_go_beside_the_job(job_of):
    job = job_of(["b", "a", "a", " "])
    assert unlabelled_texts(job) == ["a", "b"]
    assert unlabelled_texts(job_of()) == []


def test_a_name_is_no_path(job_of):
    with pytest.raises(UsageError, match="cannot name an encoder"):
        job_of(name="../x")


def test_what_is_not_whole_is_not_finished(job_of, tmp_path):
    job = job_of()
    assert encoder.finished(job) is None
    folder = tmp_path / "out" / job.folder.rsplit("/", 1)[1]
    folder.mkdir(parents=True)
    (folder / RECORD).write_text("{")
    with pytest.raises(InputError, match="not an encoder's record"):
        encoder.finished(job)


def test_a_constant_system_prompt_is_not_read(tmp_path):
    made = prepare(write_dataset(tmp_path, label_samples(12)))
    assert made.system_lines is None
    assert made.train.texts[0] == "where is my order now 0"


def test_what_varies_of_the_system_prompt_is_read(tmp_path):
    samples = [
        sample(n, "hello", "ab"[n % 2], system=f"Name the intent.\nPlan: {('free', 'paid')[n % 2]}")
        for n in range(12)
    ]
    made = prepare(write_dataset(tmp_path, samples))
    assert made.system_lines == ("Name the intent.",)
    assert made.train.texts[:2] == ["hello\nPlan: free", "hello\nPlan: paid"]
    assert any("system prompts differ" in warning for warning in made.warnings)


def test_the_last_turn_of_the_user_is_read(tmp_path):
    talk = (Message(role="user", content="my card"), Message(role="assistant", content="?"),
            Message(role="user", content=[{"type": "text", "text": "is lost"}]))  # fmt: skip
    samples = [msgspec.structs.replace(one, messages=talk) for one in label_samples(9)]
    dataset = write_dataset(tmp_path, samples)
    assert prepare(dataset).train.texts[0] == "is lost"


def test_labels_only_validation_has_are_said_and_kept_as_wrong(tmp_path):
    made = prepare(write_dataset(tmp_path, label_samples(12), [sample(99, "x", "new_one")]))
    assert made.validation.values == [("new_one",)]
    assert any("1 labels of the validation split are never taught" in warning for warning in made.warnings)


CALL = Message(role="assistant", tool_calls=[{"id": "1", "type": "function"}])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"completion": (CALL,)}, "9 of 9 training answers call tools"),
        ({"gold": None}, "no training sample with an answer"),
    ],
)
def test_answers_that_are_no_label_are_refused(tmp_path, changes, says):
    samples = [msgspec.structs.replace(one, **changes) for one in label_samples(9)]
    with pytest.raises(UsageError, match=says):
        prepare(write_dataset(tmp_path, samples))
