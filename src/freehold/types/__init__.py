"""Frozen records that flow between rooms. One noun per file; nothing here does I/O or knows a room."""
