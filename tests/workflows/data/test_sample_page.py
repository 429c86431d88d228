"""Pages of a dataset's samples by the place in the file."""

import pytest
from tests.training.conftest import task_samples, write_dataset

from freehold.errors import InputError
from freehold.workflows.data.sample_page import sample_page


def test_every_sample_comes_once_and_the_last_page_says_so(tmp_path):
    dataset = write_dataset(tmp_path / "data", task_samples(7))
    found, after = [], 0
    while after is not None:
        page = sample_page(dataset, "train", after, most=3)
        assert page.total == 7 and len(page.samples) <= 3
        found += [one.id for one in page.samples]
        after = page.next_after
    assert found == [f"s{number}" for number in range(7)]


def test_a_place_in_the_middle_of_a_line_is_refused(tmp_path):
    dataset = write_dataset(tmp_path / "data", task_samples(2))
    with pytest.raises(InputError, match="no sample begins at 5"):
        sample_page(dataset, "train", 5)


def test_a_split_that_is_not_there_is_empty(tmp_path):
    dataset = write_dataset(tmp_path / "data", task_samples(2))
    assert sample_page(dataset, "validation").samples == ()
