import pytest

from freehold.errors import InputError
from freehold.unpacking import FREE_BYTES, RATIO_MAX, check_ratio


def test_honest_files_pass_and_bombs_do_not():
    check_ratio(1, FREE_BYTES, "a")
    check_ratio(FREE_BYTES, FREE_BYTES * RATIO_MAX, "a")
    with pytest.raises(InputError, match="unpacks to more than"):
        check_ratio(1, FREE_BYTES + 1, "a")
