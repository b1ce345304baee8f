"""A YAML file that remembers its lines, and collects what is wrong with it instead of stopping at the first problem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import yaml

from otklik.taxonomy.phrases import Phrase, PhraseError, check_word, parse_phrase

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same nodes, several times faster where libyaml is at hand


class TaxonomyError(ValueError):
    """A taxonomy that cannot be used; ``problems`` has a line for each, ``file:line: what to do``."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(slots=True)
class Source:
    """One file while it is read."""

    name: str
    root: Field = field(init=False)
    problems: list[tuple[int, str]] = field(default_factory=list)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)  # named lists of words that phrases may use

    @classmethod
    def parse(cls, text: str, name: str) -> Source:
        """Raises `TaxonomyError` if the text is no YAML mapping at all."""
        source = cls(name)
        try:
            node = yaml.compose(text, Loader=_LOADER)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            raise TaxonomyError([f"{name}{line}: no YAML: {getattr(error, 'problem', None) or error}"]) from error
        if not isinstance(node, yaml.MappingNode):
            raise TaxonomyError([f"{name}: empty, or no mapping; it has to begin with «taxonomy: id» or «overlay: id»"])
        source.root = Field(source, node)
        return source

    def report(self, line: int, message: str) -> None:
        """Notes a problem and goes on."""
        if (line, message) not in self.problems:
            self.problems.append((line, message))

    def finish(self) -> None:
        """Raises `TaxonomyError` with all that was reported, in the order of the file."""
        if self.problems:
            raise TaxonomyError(
                [f"{self.name}:{line}: {message}" for line, message in sorted(self.problems, key=lambda problem: problem[0])]
            )


@dataclass(frozen=True, slots=True)
class Field:
    """One value of the file. Reading it as the wrong kind is reported; an empty value of the right kind is returned."""

    source: Source
    node: yaml.Node | None
    line: int = 1

    def __post_init__(self) -> None:
        if self.node is not None:
            object.__setattr__(self, "line", self.node.start_mark.line + 1)

    def report(self, message: str) -> None:
        """Notes a problem at this line."""
        self.source.report(self.line, message)

    def _pairs(self) -> list[tuple[yaml.Node, yaml.Node]]:
        return list(self.node.value) if isinstance(self.node, yaml.MappingNode) else []

    def keys(self) -> list[str]:
        """Keys of a mapping in order."""
        return [key.value for key, _ in self._pairs() if isinstance(key, yaml.ScalarNode)]

    def get(self, name: str) -> Field | None:
        """The value of a key, or None if it is not there."""
        return next((Field(self.source, value) for key, value in self._pairs() if key.value == name), None)

    def __getitem__(self, name: str) -> Field:
        """The value of a key; an absent one was reported by `only` and reads as empty."""
        return self.get(name) or Field(self.source, None, self.line)

    def only(self, *names: str, optional: Sequence[str] = ()) -> None:
        """Reports unknown, double and missing keys."""
        if self.node is not None and not isinstance(self.node, yaml.MappingNode):
            self.report(f"a mapping is expected here, with the keys {', '.join(names)}")
            return
        keys = self.keys()
        for key, _ in self._pairs():
            if key.value not in names:
                self.source.report(key.start_mark.line + 1, f"unknown key «{key.value}»; known are {', '.join(names)}")
            elif keys.count(key.value) > 1:
                self.source.report(key.start_mark.line + 1, f"«{key.value}» stands twice; keep one")
        for name in names:
            if name not in keys and name not in optional:
                self.report(f"«{name}» is missing")

    def items(self) -> list[Field]:
        """Members of a list."""
        if self.node is None:
            return []
        if not isinstance(self.node, yaml.SequenceNode):
            self.report("a list is expected here")
            return []
        return [Field(self.source, node) for node in self.node.value]

    def text(self, pattern: re.Pattern[str] | None = None) -> str:
        """A non-empty text, of the given form."""
        if self.node is None:
            return ""
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value.strip():
            self.report("a text is expected here")
            return ""
        value: str = self.node.value.strip()
        if pattern and not pattern.fullmatch(value):
            self.report(f"«{value}» has to have the form {pattern.pattern}")
        return value

    def text_or_none(self) -> str | None:
        """A text, or None where the file says null."""
        return None if self.node is None or self.node.tag == "tag:yaml.org,2002:null" else self.text()

    def texts(self, at_least: int = 0) -> tuple[str, ...]:
        """A list of different texts."""
        values = tuple(item.text() for item in self.items())
        if isinstance(self.node, yaml.SequenceNode) and len(set(values)) < max(at_least, len(values)):
            self.report(f"{at_least or 'only'} different texts are expected here, {len(set(values))} of {len(values)} are")
        return values

    def get_texts(self, name: str) -> tuple[str, ...]:
        """A list of texts under a key that may be absent."""
        value = self.get(name)
        return value.texts() if value else ()

    def words(self) -> tuple[str, ...]:
        """A list of single words."""
        words = self.texts(at_least=1)
        for word, item in zip(words, self.items(), strict=True):
            try:
                check_word(word, word)
            except PhraseError as error:
                item.report(str(error))
        return words

    def phrases(self) -> list[Phrase]:
        """A list of phrases, each read and none twice."""
        result: dict[str, Phrase] = {}
        for item in self.items():
            text = " ".join(item.text().split())
            try:
                phrase = parse_phrase(text, self.source.lists)
            except PhraseError as error:
                item.report(str(error))
                continue
            if text in result:
                item.report(f"«{text}» stands twice in this list; keep one")
            result[text] = phrase
        return list(result.values())

    def choice(self, choices: Sequence[str]) -> str:
        """One of the choices; the first where the value is something else, which is reported."""
        value = self.text()
        if value in choices:
            return value
        if self.node is not None:
            self.report(f"«{value}» has to be one of {', '.join(choices)}")
        return choices[0]

    def whole_number(self) -> int:
        """A whole number above 0."""
        value = self.text()
        if value.isascii() and value.isdigit() and int(value) > 0:
            return int(value)
        if self.node is not None:
            self.report(f"«{value}» has to be a whole number above 0")
        return 1

    def flag(self) -> bool:
        """True or false."""
        return self.choice(("false", "true")) == "true"
