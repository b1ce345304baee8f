"""Texts that break readers of Russian: letters with marks, joiners, look-alikes, odd spaces, emoji, and anything at all."""

from __future__ import annotations

from hypothesis import strategies as st

ODD = [
    *"еёйЁЙиaoсcр",
    "е\u0308",
    "и\u0306",
    "о\u0301",
    "\u200d",
    "\u200b",
    "\u00ad",
    "\ufeff",
    "\u0301",
    "\u00a0",
    "\u2028",
    "\t",
    "\n",
    "\r\n",
    "\x00",
    "😡",
    "👨‍👩‍👧",
    "❤️",
    "🇷🇺",
    "ﬁ",
    "𝐀",
    "\U00017000",
    *" .,!?()-…—«»12",
]
WORDS = [
    "не",
    "сажают",
    "на рейс",
    "рейс",
    "подам",
    "в суд",
    "верните",
    "деньги",
    "cкидкa",
    "хамство",
    "грязно",
    "ужаааас",
    "Не рекомендую",
    "стоим",
]

odd_texts = st.lists(st.sampled_from(ODD + WORDS + [" "]), max_size=40).map("".join)
texts = st.one_of(odd_texts, st.text(max_size=80))
