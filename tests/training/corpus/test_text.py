import numpy as np

from training.corpus.text import TextSource
from training.corpus.vocabulary import FOREIGN, LABIAL_WORDS


def sentences(seed: int, count: int = 400) -> list[str]:
    source = TextSource(np.random.default_rng(seed), rare_words=())
    return [source.sentence() for _ in range(count)]


def test_same_seed_same_text_and_other_seed_other_text() -> None:
    assert sentences(3, 20) == sentences(3, 20)
    assert sentences(3, 20) != sentences(4, 20)


def test_sentences_are_varied_and_complete() -> None:
    made = sentences(0)
    assert len(set(made)) > 350
    assert {text.rstrip('"')[-1] for text in made} >= {".", "?", "!"}
    assert all(text[0].isupper() or not text[0].isalpha() for text in made)
    assert all("  " not in text and " ," not in text for text in made)
    assert any(character.isdigit() for text in made for character in text)


def test_lip_sounds_are_frequent() -> None:
    words = " ".join(sentences(1)).lower().replace(",", " ").replace(".", " ").split()
    assert sum(word in LABIAL_WORDS for word in words) > 0.05 * len(words)


def test_rare_words_are_used_where_given() -> None:
    source = TextSource(np.random.default_rng(0), rare_words=("zyzzyva",))
    assert any("zyzzyva" in source.sentence() for _ in range(100))


def test_foreign_texts_have_their_language() -> None:
    source = TextSource(np.random.default_rng(0))
    for language, texts in FOREIGN.items():
        assert any(text in source.foreign(language, 2) for text in texts)
