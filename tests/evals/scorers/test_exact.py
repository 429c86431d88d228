from tests.evals.scorers.conftest import score, value


def test_exact():
    assert value("exact", " a b ", "a b") == 1.0
    assert value("exact", " a b ", "a b", strip=False) == 0.0
    assert value("exact", "A", "a") == 0.0
    assert value("exact", "A", "a", case_sensitive=False) == 1.0
    assert value("exact", "a \n b", "a b", collapse_whitespace=True) == 1.0
    assert value("exact", "e\u0301", "\u00e9") == 1.0
    assert not score("exact", "", "a").format_ok
