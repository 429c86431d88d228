"""The child's side: one tokenizer for all pages of a dataset, and errors as words."""

import msgspec
import pytest
from tests.training.conftest import task_samples, write_dataset

from freehold.training.token_masks import job
from freehold.types.config import FinetuneConfig
from freehold.types.planning.token_mask import MaskRequest


@pytest.fixture
def request_of(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(job, "_loaded", {})

    def made(samples, base=tiny):
        dataset = write_dataset(tmp_path / "data", task_samples(4))
        return MaskRequest(base=base, dataset=dataset, config=FinetuneConfig(), samples=tuple(samples))

    return made


def said(request):
    (answer,) = job.JOBS["mask"]([msgspec.json.encode(request)])
    return msgspec.json.decode(answer, type=job.MaskAnswer | job.MaskRefusal)


def test_the_tokenizer_of_the_page_before_is_kept(request_of, monkeypatch):
    first = said(request_of(task_samples(2)))
    monkeypatch.setattr(job, "tokenizer_of", lambda request: pytest.fail("loaded again"))
    other = said(request_of(task_samples(3)[2:]))
    assert [one.id for one in first.masked.samples] == ["s0", "s1"]
    assert [one.id for one in other.masked.samples] == ["s2"]


def test_what_goes_wrong_comes_back_in_its_words(request_of, tiny, tmp_path):
    gone = msgspec.structs.replace(tiny, path=str(tmp_path / "gone"))
    answer = said(request_of(task_samples(1), base=gone))
    assert isinstance(answer, job.MaskRefusal) and answer.message
