from datetime import UTC, datetime

import pytest

from freehold.types.migrated import AllMigrated, MigratedProject


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["promote", "promote"], 0),
        (["promote", "hold"], 3),
        (["hold", "reject", "promote"], 1),
        (["no candidate", "hold"], 1),
        (["reject", "failed"], 2),
    ],
)
def test_the_exit_code_is_the_worst_of_all(outcomes, code):
    ended = tuple(MigratedProject(name=str(n), folder=str(n), outcome=one) for n, one in enumerate(outcomes))
    assert (
        AllMigrated(at=datetime(2026, 1, 1, tzinfo=UTC), projects=ended, page="tasks.html").exit_code == code
    )
