"""The same chats, to be written in every kind of file."""

import json

from freehold.datasets.importing import Imported

CHATS = [
    {"messages": [{"role": "user", "content": f"grüße {n}"}, {"role": "assistant", "content": "hi"}]}
    for n in range(5)
]


LINES = "".join(json.dumps(chat, ensure_ascii=False) + "\n" for chat in CHATS).encode()


def asked(found):
    assert isinstance(found, Imported), found
    return found.request["messages"][0]["content"]
