import re

import pytest

from freehold.catalog.licenses import license_named, licenses, licenses_mentioned, names
from freehold.types.license import DutyClause, NoteClause, ThresholdClause


def test_names_are_unambiguous_and_clauses_carry_sections():
    assert names().exact
    for license in licenses().values():
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", license.date), license.id
        for clause in license.clauses:
            assert clause.section and clause.text, license.id
            if isinstance(clause, ThresholdClause):
                assert clause.any_of, license.id


@pytest.mark.parametrize(
    "license_id", [key for key, value in licenses().items() if value.confidence != "secondary"]
)
def test_a_read_licence_has_clauses(license_id):
    assert any(not isinstance(clause, NoteClause) for clause in licenses()[license_id].clauses)


def test_display_duties_carry_their_phrase():
    for license in licenses().values():
        for clause in license.clauses:
            if isinstance(clause, DutyClause) and clause.key in ("display_attribution", "name_prefix"):
                assert clause.value, license.id


def test_a_text_names_a_licence_by_title_or_mention():
    assert license_named("apache-2.0").id == "Apache-2.0"
    assert license_named("who knows") is None
    found = licenses_mentioned("model under the NVIDIA Open Model License of 28 Apr 2025")
    assert [license.id for license in found] == ["LicenseRef-scancode-nvidia-open-model-2025-04-28"]
