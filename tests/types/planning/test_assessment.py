import msgspec

from freehold.types.machine import Workload
from freehold.types.planning.assessment import Assessment, CandidateRow, Needs


def row(model, outcome):
    return CandidateRow(
        model=model, outcome=outcome, ruling="allowed", obligations=0, parameters=1, active_parameters=1, reasons=()
    )  # fmt: skip


def test_the_shortlist_is_what_is_left_in_the_tables_order():
    rows = (row("b", "shortlisted"), row("x", "excluded"), row("a", "shortlisted"), row("y", "unclear"))
    table = Assessment(
        id="1", machine="here", workload=Workload(), needs=Needs(), rows=rows, ranked_by="size"
    )
    assert [one.model for one in table.shortlist] == ["b", "a"]
    assert msgspec.structs.replace(table, rows=rows[1:2]).shortlist == ()
