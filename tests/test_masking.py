from __future__ import annotations

import pytest
from hypothesis import given, settings
from strategies import texts

from otklik.nlp.masking import Masker
from otklik.nlp.morphology import Morphology


@pytest.fixture(scope="module")
def masker(morphology: Morphology) -> Masker:
    return Masker(morphology)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Звоните +7 (912) 345-67-89", "Звоните [ТЕЛЕФОН]"),
        ("мой номер 89123456789, жду", "мой номер [ТЕЛЕФОН], жду"),
        ("8 800 555 35 35 не отвечает", "[ТЕЛЕФОН] не отвечает"),
        ("пишите на ivan.petrov+shop@mail.example.ru!", "пишите на [EMAIL]!"),
        ("карта 4276 3800 1234 5678 заблокирована", "карта [КАРТА] заблокирована"),
        ("карта *1234 заблокирована", "карта *1234 заблокирована"),
        ("карта ****1234", "карта [КАРТА]"),
        ("паспорт 4510 123456 выдан", "паспорт [ПАСПОРТ] выдан"),
        ("серия 45 10 № 123456", "серия [ПАСПОРТ]"),
        ("заказ № А-12345-67 потеряли", "заказ № [НОМЕР] потеряли"),
        ("бронь QX7ZK2 пропала", "бронь [НОМЕР] пропала"),
        ("СНИЛС 112-233-445 95", "СНИЛС [НОМЕР]"),
        ("Меня зовут Мария Петровна Иванова, я жду", "Меня зовут [ИМЯ], я жду"),
        ("я иванов пётр, жду", "я [ИМЯ], жду"),
        ("менеджер Ольга нахамила", "менеджер [ИМЯ] нахамила"),
        ("за\u200bказ 1234567 у Ольги", "за\u200bказ [НОМЕР] у [ИМЯ]"),
    ],
)
def test_personal_data_is_masked(masker: Masker, text: str, masked: str) -> None:
    assert masker.mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Заплатил 1500000 рублей за ремонт",
        "15.03.2024 в 10:30 рейс SU1234 из Москвы",
        "в заказе всё хорошо, билеты дорогие, договор подписан",
        "надежда на лучшее и вера в людей",
        "прождал 45 минут, потом 2 часа",
    ],
)
def test_the_rest_stays(masker: Masker, text: str) -> None:
    assert masker.mask(text) == text


@settings(max_examples=30)
@given(texts)
def test_masking_any_text_ends_and_hides_digits_of_a_phone(masker: Masker, text: str) -> None:
    assert "345-67-89" not in masker.mask(f"{text} +7 912 345-67-89")
