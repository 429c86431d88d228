"""The buttons of the screens of evidence go through the workflows of the commands."""

from datetime import UTC, datetime

import pytest
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.workflows.prove.notes import notes_of
from freehold.workflows.tell import buttons
from freehold.workflows.tell.views.proof.labelling import desk_of

AT = datetime(2026, 11, 29, tzinfo=UTC)
BY = {"who": "ada", "at": AT}


@pytest.fixture
def project(tmp_path):
    return project_of(tmp_path, evidence.TOML)


def test_a_note_and_a_label(project):
    made = evidence.with_proof(project, hostile=False)
    with open_store(project.store_url) as store:
        note = buttons.note(
            project, store, buttons.NoteBody(evaluation=made.id, sample="s1", text="odd"), **BY
        )
        assert notes_of(store, made.id) == {"s1": (note,)}
        pair = desk_of(project).pair(made.id)
        body = buttons.PairBody(evaluation=made.id, pair=pair.pair_id, choice="left")
        assert buttons.label(project, store, body, **BY).labelled == pair.labelled + 1
        with pytest.raises(UsageError):
            buttons.label(project, store, body, **BY)
        back = buttons.undo_label(project, store, buttons.UndoBody(evaluation=made.id), **BY)
        assert back.pair_id == pair.pair_id
