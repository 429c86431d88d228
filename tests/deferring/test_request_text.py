import subprocess
import sys

import pytest

from freehold.deferring.request_text import READ_CHARACTERS, request_text


def asking(*contents):
    return {"messages": [{"role": "user", "content": content} for content in contents]}


def test_the_users_turns_are_read_the_newest_first_and_no_others():
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "second"}, {"type": "image_url", "image_url": {}}],
        },
    ]
    assert request_text({"messages": messages}) == "second\nfirst"


def test_a_long_text_is_read_at_both_ends():
    text = request_text(asking("a" * 10_000 + "b" * 10_000))
    assert len(text) == READ_CHARACTERS + 1
    assert text.startswith("aaa") and text.endswith("bbb")
    assert len(request_text(asking(*["word " * 400] * 50))) <= READ_CHARACTERS + 1


@pytest.mark.process
def test_it_needs_no_numbers():
    code = "import sys, freehold.gateway.proxy.reading; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
