"""Freehold from Python: values in, records out. `import freehold` names what is public; this room holds it.

Nothing is decided here: each call hands its values to the workflow that the command of the same name runs, and returns
that workflow's record. Errors are those of `freehold.errors`.
"""
