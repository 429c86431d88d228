"""Bodies carry a checksum. No table changes, and rows are sealed in batches afterwards (`freehold.store.care.sealing`):
a large store would be locked for minutes here. The number tells older programs, which cannot read sealed bodies."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    pass
