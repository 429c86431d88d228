"""A tokenizer of its own for each test, because templates are changed here."""

import pytest
from tests.training.conftest import make_tokenizer


@pytest.fixture
def tokenizer():
    return make_tokenizer()
