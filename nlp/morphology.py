"""Word forms → lemmas and grammemes (pymorphy3), through the noise of real typing."""

from __future__ import annotations

import re
from functools import lru_cache

from pymorphy3 import MorphAnalyzer

from otklik.nlp.records import Word

_CYRILLIC = re.compile(r"[а-я]+(?:-[а-я]+)*")
_MIXED = re.compile(r"(?=.*[а-яё])(?=.*[a-zë])", re.DOTALL)
_REPEATED = re.compile(r"([^\W\d_])\1+")
# Latin letters that look like Russian ones; read so only inside a word that has a Russian letter as well.
_LOOKALIKE = str.maketrans("abcehkmnoprtuxyë", "авсенкмпоргтихуе")
_NUMERAL = frozenset({"NUMR", "Anum", "Coll"})
_CACHE = 50_000  # forms, about 40 MB; bounded, so that a service fed with random words does not grow


class Morphology:
    """Looks up word forms. Build it once, before threads start: building two at a time races in pymorphy3.

    ``word(form)`` is what is known of a form. ``split(form)`` is the same as ((stop, word),), counted from the form's first
    character, or both words where «не» is glued to a verb: «незнаю», «неработает».
    """

    def __init__(self) -> None:
        self._analyzer = MorphAnalyzer()
        self.word = lru_cache(maxsize=_CACHE)(self._word)
        self.split = lru_cache(maxsize=_CACHE)(self._split)

    def _split(self, form: str) -> tuple[tuple[int, Word], ...]:
        if len(form) > 5 and form[:2].lower() == "не" and not self.word(form).known:
            verb = self.word(form[2:])
            if verb.known and verb.readings[0][1] & {"VERB", "INFN"}:
                return (2, self.word(form[:2])), (len(form), verb)
        return ((len(form), self.word(form)),)

    def _word(self, form: str) -> Word:
        norm = normalise(form)
        if norm[0].isdigit():
            return Word(norm, (), known=True, number=True)
        if not _CYRILLIC.fullmatch(norm):  # pymorphy3 raises on letters without a Unicode name
            return Word(norm, ((norm, frozenset()),), known=False)
        is_known = self._analyzer.word_is_known
        if not is_known(norm):  # «ужаааас», «длинннный»: as many letters as the dictionary has
            norm = next(filter(is_known, (_REPEATED.sub(r"\1\1", norm), _REPEATED.sub(r"\1", norm))), norm)
        parses = self._analyzer.parse(norm)
        readings = dict.fromkeys((parse.normal_form.replace("ё", "е"), frozenset(parse.tag.grammemes)) for parse in parses)
        return Word(norm, tuple(readings), known=is_known(norm), number=bool(parses[0].tag.grammemes & _NUMERAL))


def normalise(form: str) -> str:
    """Lower case, «е» for «ё», Russian letters for their look-alikes in a word of mixed alphabets."""
    norm = form.lower()
    if _MIXED.match(norm):
        norm = norm.translate(_LOOKALIKE)
    return norm.replace("ё", "е").replace("’", "'").replace("ʼ", "'")
