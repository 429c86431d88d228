"""Records and traces to keep."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from freehold.types.record import StoredRecord, event_id
from freehold.types.route import Target
from freehold.types.trace import Trace, Usage

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Note(StoredRecord, frozen=True, kw_only=True):
    kind: ClassVar[str] = "note"

    id: str = "a"
    text: str


def trace(number: int, **changes) -> Trace:
    values = {
        "id": event_id(1_700_000_000_000 + number),
        "at": NOON + timedelta(seconds=number),
        "source": f"import:inbox.jsonl#{number}",
        "model": "gpt-4o",
        "request": {"messages": [{"role": "user", "content": f"Wo ist Paket {number}? 📦"}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": "unterwegs"}}]},
        "usage": Usage(prompt_tokens=9, completion_tokens=2),
        **changes,
    }
    return Trace(**values)


def put(store):
    from datetime import UTC, datetime

    store.finish_step("import", "hash", Target(endpoint="x"), datetime(2026, 3, 1, tzinfo=UTC))
