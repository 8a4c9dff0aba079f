import pytest

from training.corpus.phones import NEUTRAL, PHONE_NAMES, PHONES, split_symbol, unknown_symbols


@pytest.mark.parametrize(
    ("symbol", "names"),
    [
        ("p", ["P"]),
        ("aɪ", ["A", "IH"]),
        ("oʊ", ["O", "UH"]),
        ("tʃ", ["CH"]),
        ("t͡ʃ", ["CH"]),
        ("ɜː", ["ER"]),
        ("ɛɹ", ["EH", "R"]),
        ("əl", ["AX", "L"]),
        ("ɔ̃", ["AO"]),
        ("ç", ["CX"]),
        ("kʰ", ["K"]),
        ("n̩", ["N"]),
        ("aɪə", ["A", "IH", "AX"]),
        ("iː", ["IY"]),
        ("ə-", ["AX"]),
        ("i.", ["IY"]),
        ("", []),
        ("(en)", []),
    ],
)
def test_ipa(symbol: str, names: list[str]) -> None:
    parts = split_symbol(symbol)
    assert [name for name, _ in parts] == names
    assert not parts or sum(share for _, share in parts) == pytest.approx(1.0)


def test_a_diphthong_keeps_most_of_its_time_for_the_first_vowel() -> None:
    (first, share), _ = split_symbol("aʊ")
    assert first == "A" and share == pytest.approx(0.6)


def test_every_arpabet_phone_of_flite_is_mapped() -> None:
    unknown_symbols.clear()
    names = (
        "aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh pau"
    )
    for name in names.split():
        assert split_symbol(name, arpabet=True)
    assert not unknown_symbols


def test_unknown_symbols_are_neutral_and_counted() -> None:
    unknown_symbols.clear()
    assert split_symbol("ʘ") == [(NEUTRAL, 1.0)]
    assert split_symbol("qqq", arpabet=True) == [(NEUTRAL, 1.0)]
    assert unknown_symbols["ʘ"] >= 1 and unknown_symbols["qqq"] == 1
    unknown_symbols.clear()


def test_classes_say_what_a_mouth_does() -> None:
    assert all(PHONES[name].place == "bilabial" for name in ("P", "B", "M", "W"))
    assert all(PHONES[name].place == "labiodental" for name in ("F", "V"))
    assert PHONES["AA"].height < PHONES["EH"].height < PHONES["IY"].height
    assert PHONES["UW"].rounding > 0.9 and PHONES["IY"].rounding == 0.0
    assert PHONES["sil"].manner == "silence" and PHONE_NAMES[0] == "sil"
    for name, phone in PHONES.items():
        assert phone.name == name
        assert all(0.0 <= value <= 1.0 for value in (phone.height, phone.backness, phone.rounding))
        assert (phone.place == "none") == (phone.manner in ("vowel", "silence"))
