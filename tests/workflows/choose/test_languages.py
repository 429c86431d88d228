import pytest
from tests.workflows.choose.test_needs import ENGLISH, GERMAN

from freehold.workflows.choose.languages import language_of


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        (
            "Où est ma commande et quand est-ce qu'elle sera livrée ? Je n'ai pas reçu le colis pour le moment.",
            "fr",
        ),
        ("¿Dónde está mi pedido? No me ha llegado y no sé cómo se hace para que lo envíen más rápido.", "es"),
        (
            "Dov'è il mio ordine? Non è ancora arrivato e non so come si fa per sapere quando arriva il pacco.",
            "it",
        ),
        ("注文した商品はどこですか。まだ届いていませんので教えてください。", "ja"),
        ("我的订单在哪里？我还没有收到包裹，请告诉我什么时候可以到达，谢谢你们的帮助。", "zh"),
        ("Где мой заказ? Я ещё не получил посылку.", "ru"),
        ("ok", None),
        ("XKJ-2231 / 4451-B, 88817263 PPQ ZZRT KLMN OPQR STUV", None),
    ],
)
def test_one_text(text, code):
    assert language_of(text) == code


def test_an_even_mixture_has_no_language():
    assert language_of("the of and to is in that it der die und das ist nicht ein eine") is None
