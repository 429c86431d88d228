"""Echo's rules and tables of answers."""

import pytest

from freehold.engines.echo.options import read_answers
from freehold.errors import InputError


def test_answer_files_say_which_line_is_wrong(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"input": "a", "answer": "b"}\n\n{"input": "c"}\n')
    with pytest.raises(InputError, match=r"answers\.jsonl:3"):
        read_answers(str(path))
    path.write_text('{"a": "b"}')
    assert read_answers(str(path)) == {"a": "b"}
