"""A look that is left out because a text lacks what it needs would have found nothing."""

import random

from freehold.privacy import labelled, patterns

_VALUES = (
    "12", "4711", "+49 30 1234 567", "030 1234567", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "10.0.0.1",
    "fe80::1", "abc::d1", "ab:cd:ef:01:23:45", "a1-bc-de-fa-bc-de", "me@x.org", "1.2.1990", "3 mai 1990", "C01X00T47",
    "12345678", "https://u:pw@h", "sk-abcdefghijklmnop", "sk_live_abcdefghijklmnop", "github_pat_" + "a" * 20,
    "ghp_" + "a" * 20, "glpat-" + "a" * 16, "xoxb-" + "a" * 10, "AKIA" + "A" * 16, "AIza" + "a" * 30, "hf_" + "a" * 24,
    "npm_" + "a" * 30, "pypi-" + "a" * 40, "fh-" + "a" * 32, f"SG.{'a' * 16}.{'a' * 16}", "eyJaaaaaaaa.bbbbbbbb.cccc",
    "Bearer abcdefghijklmnopqrst", "-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY-----",
)  # fmt: skip
_WORDS = (
    "born", "birth", "birthday", "dob", "d.o.b", "geboren", "geb.", "Geburtstag", "né", "née", "naissance", "nací",
    "naci", "nacimiento", "nacida", "nato", "nascita", "nascido", "nascimento", "geboortedatum", "urodzony", "passport",
    "passeport", "pasaporte", "passaporto", "paspoort", "paszport", "Reisepass", "licence", "license", "Führerschein",
    "permis", "permiso", "patente", "rijbewijs", "condução", "prawo jazdy", "identity card", "Personalausweis",
    "carte d'identité", "carta d'identità", "identiteitskaart", "cartão de cidadão", "cartao de cidadao",
    "dowód osobisty", "dowodu osobistego", "account", "Konto", "compte", "cuenta", "conto", "rekening", "conta",
    "konta", "phone", "mobile", "tel", "cell", "fax", "call", "ring", "text", "WhatsApp", "whats app", "sms", "bel",
    "Telefon", "téléphone", "teléfono", "telefoon", "móvil", "telemóvel", "cellulare", "Handy", "mobiel", "portable",
    "appelez", "joindre", "llamar", "llámame", "chiamare", "ligue", "ligar", "dzwonić", "komórka", "anrufen",
    "erreichbar",
)  # fmt: skip


def _every_look(text):
    """What is found where all looks are taken."""
    found, rest = [], text
    for _, look in patterns._LOOKS:
        here = list(look(rest))
        rest = patterns.blanked(rest, here, labelled.FOUND) if here else rest
        found += here
    return sorted(found)


def test_texts_of_all_that_is_known_give_the_same_finds(monkeypatch):
    draw = random.Random(5)
    texts = [f"{word} {value}" for word in _WORDS for value in _VALUES]
    pieces = (*_VALUES, *_WORDS, *".:,;-/ \n", "The", "order", "of", "é", "٤")
    texts += [
        draw.choice(("", " ", " ")).join(draw.choices(pieces, k=draw.randint(1, 14))) for _ in range(6000)
    ]
    quick = [patterns.find(text) for text in texts]
    everywhere = [label._replace(roots=("",)) for label in labelled._LABELS]
    monkeypatch.setattr(labelled, "_LABELS", tuple(everywhere))
    hints = ("@", "sk-", "eyJ", "earer ", "ghp_", "xox", "://", "-----BEGIN")
    hinted = [any(char.isdecimal() for char in text) or any(hint in text for hint in hints) for text in texts]
    assert quick == [_every_look(text) if looked else [] for text, looked in zip(texts, hinted, strict=True)]
    assert sum(map(len, quick)) > 5000
    kinds = {find.kind for finds in quick for find in finds}
    assert kinds == {
        "SECRET",
        "EMAIL",
        "IBAN",
        "CARD",
        "MAC",
        "IP",
        "PHONE",
        "BIRTHDATE",
        "DOCUMENT",
        "ACCOUNT",
    }
