import pytest
from tests.training.encoder.conftest import label_samples, write_dataset

from freehold.errors import InputError, UsageError
from freehold.training import encoder
from freehold.training.encoder.job import RECORD, unlabelled_texts
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
