from freehold.catalog.fingerprints import fingerprints
from freehold.catalog.licenses import licenses


def test_every_fingerprint_is_of_a_licence_of_the_catalog():
    assert {one.license_id for one in fingerprints()} <= set(licenses())
