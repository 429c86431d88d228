"""The screen Proof from real states of a project."""

from pathlib import Path

from tests.workflows.tell.views import evidence

from freehold.workflows.tell.views.proof.screen import ProofQuery, proof

look = evidence.looking(proof, ProofQuery)


def test_the_worst_items_come_first_with_what_differs(project):
    made = evidence.with_proof(project)
    found = look(project)
    detail = found.detail
    assert detail.evaluation_id == made.id and detail.comparison.id == made.comparison.id
    assert detail.verdict.id == "8" * 32 and detail.clone.self_noise == 0.04
    assert detail.reasons[0] == "the candidate is shown to be worse by more than the margin"
    assert {row.kind for row in found.intervals} == {"proof", "selection"}
    assert found.mixtures[0].mixture.id == "m" * 32
    items = detail.items
    assert len(items.items) == 10 and items.matching == items.changes["worse"]
    for one in items.items:
        assert one.candidate.score == 0 and one.incumbent.score == 1 and one.causes
        assert {piece.side for piece in one.difference.pieces} == {"incumbent", "candidate"}
    # The next page goes on, and an item's slice and cause lead to others like it.
    after = look(project, after=items.next_after).detail.items
    assert after.items[0].rank == items.items[-1].rank + 1
    german = look(project, slice="language=de").detail.items
    assert german.matching == items.worse_by_slice["language=de"]
    cause = items.causes[0]
    assert look(project, cause=cause[0]).detail.items.matching == cause[1]


def test_answers_that_are_gone_are_told_and_the_rest_stands(project):
    made = evidence.with_proof(project)
    Path(made.results_file).unlink()
    detail = look(project).detail
    assert detail.items is None and "freehold evaluate" in detail.items_missing
    assert detail.comparison is not None
