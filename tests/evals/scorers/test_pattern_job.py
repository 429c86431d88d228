import re

import msgspec

from freehold.evals.scorers.pattern_job import JOBS, PatternFound, PatternSearch, found


def test_the_last_match_counts_where_a_group_is_asked_for():
    assert found(PatternSearch(r"n(\d)", 0, "n1 n2", False, 1)) == PatternFound(True, "2")
    assert found(PatternSearch(r"N\d", re.IGNORECASE, "n1", True)) == PatternFound(True)
    assert found(PatternSearch("x", 0, "y", False)) == PatternFound()
    assert found(PatternSearch("(", 0, "y", False)).error


def test_the_job_speaks_msgpack():
    (result,) = JOBS["find"]([msgspec.msgpack.encode(PatternSearch("a", 0, "a", False))])
    assert msgspec.msgpack.decode(result, type=PatternFound).matched
