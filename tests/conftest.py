"""Settings that all tests share."""

from hypothesis import settings

# A deadline fails on a busy machine, not on a wrong program; the timeout of each test catches what hangs.
settings.register_profile("freehold", deadline=None)
settings.load_profile("freehold")
