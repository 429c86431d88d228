"""The system prompt made to fit one model, by measurement.

What a model is asked is changed in plain ways (`variants`), the best of which successive halving finds (`halving`);
and it is rewritten by a proposer that reads what went wrong (`reflection`). What a proposer writes is checked before it
is used (`checks`, `leaks`). This room asks nothing itself: who calls it passes what measures and what proposes.
"""
