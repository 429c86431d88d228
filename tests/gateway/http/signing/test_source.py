"""What is told of a source that gave no credentials."""

from freehold.gateway.http.signing.source import CredentialError, reason_of, refresh_before


def test_a_librarys_words_are_not_told():
    assert (
        reason_of("google", ValueError("secret")) == "no credentials of Google Cloud can be had (ValueError)"
    )
    assert "is empty" in reason_of("aws", CredentialError("its chain is empty"))


def test_newer_ones_are_looked_for_before_the_end():
    assert refresh_before(0, 3600) == 3360
    assert refresh_before(0, 10) == 5
