"""Endless, varied English text from a seeded grammar, and short texts in other languages.

Nothing is quoted: the sentences are made from word lists of this project and, where Debian's ``wamerican`` is
installed, from its word list for rare words.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from training.corpus import vocabulary as v

_DICTIONARY: Final = Path("/usr/share/dict/words")
_RARE_SHARE: Final = 0.15


class TextSource:
    """Sentences drawn from a random generator: the same generator state gives the same text.

    Args:
        rng: Where the choices come from.
        rare_words: Words that now and then replace a noun; by default the machine's word list, where there is one.
    """

    def __init__(self, rng: np.random.Generator, rare_words: Sequence[str] | None = None) -> None:
        self._rng = rng
        self._rare = dictionary_words() if rare_words is None else tuple(rare_words)

    def paragraph(self, sentences: int) -> str:
        """``sentences`` sentences of any kind, separated by blanks."""
        return " ".join(self.sentence() for _ in range(sentences))

    def sentence(self) -> str:
        """One sentence: statement, question, exclamation, list, numbers, reply or a play of lip sounds."""
        kinds = (
            self._statement, self._compound, self._question, self._exclamation, self._list, self._numbers,
            self._reply, self._labial, self._paused, self._quoted,
        )  # fmt: skip
        weights = (0.22, 0.14, 0.14, 0.07, 0.07, 0.08, 0.08, 0.1, 0.06, 0.04)
        text = kinds[int(self._rng.choice(len(kinds), p=weights))]()
        return text[0].upper() + text[1:]

    def foreign(self, language: str, sentences: int) -> str:
        """``sentences`` sentences of ``language``, one of ``vocabulary.FOREIGN``."""
        return " ".join(self._pick(v.FOREIGN[language]) for _ in range(sentences))

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self._rng.integers(len(options)))]

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _noun(self) -> str:
        if self._rare and self._chance(_RARE_SHARE):
            return self._pick(self._rare)
        draw = self._rng.random()
        return self._pick(v.THINGS if draw < 0.7 else v.PEOPLE if draw < 0.93 else v.LABIAL_WORDS)

    def _noun_phrase(self) -> str:
        draw = self._rng.random()
        if draw < 0.12:
            return self._pick(v.NAMES)
        if draw < 0.24:
            return self._pick(("he", "she", "it", "they", "we", "you", "everybody", "nobody", "somebody", "this one"))
        words = []
        if self._chance(0.45):
            words.append(self._pick(v.ADJECTIVES))
            if self._chance(0.15):
                words.insert(0, self._pick(("very", "rather", "quite", "really", "somewhat")))
        words.append(self._noun())
        determiner = self._pick(("the", "the", "my", "your", "his", "her", "our", "their", "this", "that", "a", "a"))
        if determiner == "a" and words[0][0] in "aeiou":
            determiner = "an"
        phrase = " ".join((determiner, *words))
        return f"{phrase} of {self._pick(v.NAMES)}" if self._chance(0.05) else phrase

    def _object(self) -> str:
        phrase = self._noun_phrase()
        swap = {"he": "him", "she": "her", "they": "them", "we": "us"}
        return swap.get(phrase, phrase)

    def _modal(self) -> str:
        return self._pick(
            (
                "will", "would", "can", "could", "may", "might", "must", "should", "won't", "can't", "couldn't",
                "wouldn't", "shouldn't", "used to", "wanted to", "had to", "will never", "would always",
            )
        )  # fmt: skip

    def _action(self) -> str:
        draw = self._rng.random()
        if draw < 0.62:
            words = f"{self._pick(v.VERBS)} {self._object()}"
        elif draw < 0.8:
            words = f"{self._pick(v.MOTIONS)} {self._place()}"
        else:
            words = self._pick(v.MOTIONS)
        if self._chance(0.35):
            words += f" {self._pick(v.ADVERBS)}"
        elif self._chance(0.3):
            words += f" {self._place()}"
        return words

    def _place(self) -> str:
        if self._chance(0.2):
            return f"{self._pick(('in', 'to', 'near', 'from'))} {self._pick(v.PLACES)}"
        return f"{self._pick(v.PREPOSITIONS)} {self._object()}"

    def _clause(self) -> str:
        if self._chance(0.25):
            subject = self._pick(("there was", "there will be", "we have got", "I remember", "you need", "here comes"))
            return f"{subject} {self._object()} {self._place()}"
        return f"{self._noun_phrase()} {self._modal()} {self._action()}"

    def _statement(self) -> str:
        return self._clause() + "."

    def _compound(self) -> str:
        link = self._pick((", and", ", but", " because", " when", " while", " if", ", so", " before", " until", ";"))
        return f"{self._clause()}{link} {self._clause()}."

    def _question(self) -> str:
        subject = self._noun_phrase()
        draw = self._rng.random()
        if draw < 0.4:
            opener = self._pick(("will", "can", "could", "should", "would", "may", "must"))
            return f"{opener} {subject} {self._action()}?"
        if draw < 0.8:
            opener = self._pick(("what", "why", "where", "when", "how", "who", "whom", "how often", "for how long"))
            return f"{opener} {self._pick(('would', 'will', 'can', 'should', 'could'))} {subject} {self._action()}?"
        return f"{self._clause()}, {self._pick(('right', 'is it not', 'do you think', 'or not', 'would you'))}?"

    def _exclamation(self) -> str:
        if self._chance(0.4):
            adjective = self._pick(v.ADJECTIVES)
            article = "an" if adjective[0] in "aeiou" else "a"
            return f"what {article} {adjective} {self._noun()}!"
        if self._chance(0.5):
            return f"how {self._pick(v.ADJECTIVES)}!"
        return f"{self._action()}!"

    def _list(self) -> str:
        items = [self._object() for _ in range(int(self._rng.integers(3, 7)))]
        opener = self._pick(("we need", "please bring", "I can see", "they sold", "first of all,", "my favourites are"))
        return f"{opener} {', '.join(items[:-1])} and {items[-1]}."

    def _numbers(self) -> str:
        rng = self._rng
        draw = rng.random()
        if draw < 0.25:
            return f"my number is {', '.join(str(d) for d in rng.integers(0, 10, int(rng.integers(4, 9))))}."
        if draw < 0.5:
            return f"it costs {rng.integers(1, 999)} dollars and {rng.integers(1, 99)} cents."
        if draw < 0.75:
            return (
                f"the meeting is at {rng.integers(1, 13)} {self._pick(('fifteen', 'thirty', 'forty five', 'sharp'))}."
            )
        return f"in {rng.integers(1200, 2060)} there were {rng.integers(2, 90000)} {self._pick(v.PEOPLE)}s here."

    def _reply(self) -> str:
        replies = [self._pick(v.REPLIES) for _ in range(int(self._rng.integers(1, 4)))]
        return " ".join(replies)

    def _labial(self) -> str:
        words = [self._pick(v.LABIAL_WORDS) for _ in range(int(self._rng.integers(4, 9)))]
        joined = ", ".join(words) if self._chance(0.3) else " ".join(words)
        return f"{joined}."

    def _paused(self) -> str:
        filler = self._pick(("well", "um", "so", "you see", "I mean", "ah", "oh", "hmm", "okay", "now then", "look"))
        return f"{filler}... {self._clause()}... {self._pick(v.REPLIES)}"

    def _quoted(self) -> str:
        name = self._pick(v.NAMES)
        return f'"{self._clause()}," {self._pick(("said", "whispered", "shouted", "mumbled", "asked"))} {name}.'


@cache
def dictionary_words() -> tuple[str, ...]:
    """Plain lower-case words of four to eleven letters from the machine's word list; empty where there is none."""
    try:
        lines = _DICTIONARY.read_text("utf-8").splitlines()
    except OSError:
        return ()
    return tuple(w for w in lines if 4 <= len(w) <= 11 and w.isascii() and w.isalpha() and w.islower())
