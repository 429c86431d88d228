"""Whatever comes, nothing but an `InputError` is raised."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.datasets import importing
from freehold.datasets.importing import IMPORTERS, Imported, PassedOver, RejectedRecord
from freehold.types.config import DataConfig

KEYS = [key for known in (
    "messages role content tool_calls function name arguments input output request response inputs outputs",
    "run_type type choices message parts item sample prompt chosen rejected completion label observations",
    "request_body response_body request_id call_type spend resourceSpans resourceLogs scopeSpans spans attributes",
    "events id kwargs metadata extra generations data trace datasource_item text",
) for key in known.split()]  # fmt: skip


anything = st.recursive(
    st.none() | st.integers(-5, 5) | st.sampled_from(["user", "tool", "llm", "assistant", "", "{"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=10,
)


lines = st.lists(st.dictionaries(st.sampled_from(KEYS), anything, max_size=5), min_size=3, max_size=6)


@pytest.mark.parametrize("importer", IMPORTERS, ids=lambda one: one.name)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=lines)
def test_any_record_is_imported_rejected_or_passed_over(tmp_path_factory, importer, records):
    path = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    records.append({"text": 1, "label": 1})
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    named = {"input": "text", "label": "label"} if importer.name == "columns" else {}

    for found in importing.read(path, DataConfig(format=importer.name, **named)):
        assert isinstance(found, Imported | RejectedRecord | PassedOver)
