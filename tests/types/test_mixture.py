"""A mixture is stored whole and read back as it was."""

import msgspec

from freehold.types.mixture import ConfidenceQuality, Mixture, MixtureCurve, MixturePoint


def test_it_is_read_back_as_it_was():
    quality = ConfidenceQuality(signal="probability", n=200, error_before=0.1, error_after=0.02, auroc=0.8)
    point = MixturePoint(threshold=0.9, share=0.5, difference=-0.01, low=-0.02, high=0.0, random=-0.05)
    curve = MixtureCurve(
        way="cascade", signal="probability", quality=quality, points=(point,), level=0.95, chosen=0, oracle_share=0.7
    )  # fmt: skip
    made = Mixture(
        id="m", candidate="small", incumbent="large", dataset_id="d", margin=0.02, curves=(curve,), rule=None
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(made), type=Mixture) == made
    assert made.key == "m"
