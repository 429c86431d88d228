"""Records of the two simplest formats, and a file of them."""

import json

CHAT = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]}


PAIR = {
    "id": "a",
    "request": {"model": "m", "messages": [{"role": "user", "content": "hello"}]},
    "response": {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]},
    "gold": {"intent": "greeting"},
    "conversation_id": 7,
    "metadata": {"language": "en"},
}


def write(path, *records):
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
    return path
