"""Tokens of the graph text form: the words a printer writes and a parser reads, and where each stands in the text."""

from __future__ import annotations

import enum
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from bitloom.errors import BitloomError, GraphError

INTEGER_BITS = 64
"""Integers of the text form have at most this many bits: what tensors and attributes can need."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_STRING = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
_TOKEN = re.compile(
    rf"""
      (?P<skip>\s+|//[^\n]*)
    | (?P<tensor>%(?:{_PLAIN.pattern}|{_STRING}))
    | (?P<node>@(?:{_PLAIN.pattern}|{_STRING}))
    | (?P<string>{_STRING})
    | (?P<float>-?(?:\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)|(?:inf|nan)(?![A-Za-z0-9_.])))
    | (?P<integer>-?\d+)
    | (?P<word>{_PLAIN.pattern})
    | (?P<mark>\.\.|[:=,(){{}}\[\]])
    """,
    re.VERBOSE | re.ASCII,
)
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")


class Kind(enum.Enum):
    """What a token is; the value is how an error message calls it."""

    TENSOR = "a tensor name such as %x"
    NODE = "a node name such as @dense"
    STRING = "a quoted string"
    FLOAT = "a number"
    INTEGER = "an integer"
    WORD = "a word"
    MARK = "punctuation"
    END = "the end of the text"


NUMBERS = (Kind.INTEGER, Kind.FLOAT)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the text.

    Attributes:
        kind: what it is.
        text: as written, for words and marks; unquoted and unescaped, without ``%`` or ``@``, for names and strings.
        offset: characters before it.
        written: as written, for error messages.
    """

    kind: Kind
    text: str
    offset: int
    written: str


def quote(text: str) -> str:
    r"""A string as the text form writes it: on one line, printable, whatever it holds.

    >>> print(quote('say "hi"\n'))
    "say \"hi\"\n"
    """
    return '"' + "".join(_escape(character) for character in text) + '"'


def name(sigil: str, text: str) -> str:
    """A tensor name (sigil ``%``) or node name (sigil ``@``), quoted unless it is a plain identifier.

    >>> name("%", "dense_1"), name("%", "model/dense:0")
    ('%dense_1', '%"model/dense:0"')
    """
    return sigil + (text if _PLAIN.fullmatch(text) else quote(text))


def _escape(character: str) -> str:
    for letter, meaning in _ESCAPES.items():
        if character == meaning:
            return "\\" + letter
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class TokenReader:
    """Reads the tokens of a text one after the other; every error names line and column and what was expected.

    Args:
        text: in the text form.
        source: its name in error messages: a file, for example.
    """

    def __init__(self, text: str, source: str) -> None:
        self._source = source
        self._line_starts = [0, *(match.end() for match in re.finditer(r"\n", text))]
        self._tokens = list(self._tokenize(text))
        self._next = 0

    def peek(self) -> Token:
        """The next token, left in place."""
        return self._tokens[self._next]

    def take(self) -> Token:
        """The next token; the end is never passed."""
        token = self._tokens[self._next]
        if token.kind is not Kind.END:
            self._next += 1
        return token

    def at(self, *written: str) -> bool:
        """Whether the next token is one of these words or marks."""
        token = self.peek()
        return token.kind in (Kind.WORD, Kind.MARK) and token.text in written

    def accept(self, written: str) -> bool:
        """Take the next token if it is that word or mark."""
        found = self.at(written)
        if found:
            self.take()
        return found

    def expect(self, *written: str) -> Token:
        """Take the next token, which must be one of these words or marks.

        Raises:
            GraphError: it is something else.
        """
        if not self.at(*written):
            self.fail_expected(*(f"'{choice}'" for choice in written))
        return self.take()

    def expect_kind(self, kind: Kind) -> Token:
        """Take the next token, which must be of this kind.

        Raises:
            GraphError: it is something else.
        """
        if self.peek().kind is not kind:
            self.fail_expected(kind.value)
        return self.take()

    def separated(self, item: Callable[[], Item]) -> list[Item]:
        """Read one item or several, with commas between them."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return items

    def bracketed(self, item: Callable[[], Item]) -> list[Item]:
        """Read ``[`` items ``]``: none or several, with commas between them."""
        self.expect("[")
        if self.accept("]"):
            return []
        items = self.separated(item)
        self.expect("]")
        return items

    def expect_number(self) -> int | float:
        """Take an integer or a float.

        Raises:
            GraphError: something else comes, or an integer is too large.
        """
        token = self.peek()
        if token.kind not in NUMBERS:
            self.fail_expected("a number")
        self.take()
        return float(token.text) if token.kind is Kind.FLOAT else self._integer(token)

    def expect_integer(self) -> int:
        """Take an integer.

        Raises:
            GraphError: something else comes, or the integer is too large.
        """
        return self._integer(self.expect_kind(Kind.INTEGER))

    def where(self, token: Token) -> str:
        """``source:line:column`` of a token, both counted from 1."""
        line = bisect_right(self._line_starts, token.offset)
        return f"{self._source}:{line}:{token.offset - self._line_starts[line - 1] + 1}"

    def fail(self, what: str, token: Token, remedy: str | None = None) -> NoReturn:
        """Raise a GraphError at a token."""
        raise GraphError(what, where=self.where(token), remedy=remedy)

    def fail_expected(self, *choices: str) -> NoReturn:
        """Raise a GraphError that says what was expected instead of the next token."""
        token = self.peek()
        found = Kind.END.value if token.kind is Kind.END else f"'{_shortened(token.written)}'"
        self.fail(f"expected {' or '.join(choices)}, found {found}", token)

    @contextmanager
    def placed(self, token: Token) -> Iterator[None]:
        """Give errors that name no place in the text, of values built from it, the place of a token."""
        try:
            yield
        except BitloomError as error:
            if error.where and f"{self._source}:" in error.where:
                raise
            place = f"{self.where(token)}: {error.where}" if error.where else self.where(token)
            raise GraphError(error.what, where=place, remedy=error.remedy) from error

    def _integer(self, token: Token) -> int:
        digits = token.text.lstrip("-")
        # The length guards Python's own limit on converting digits.
        if len(digits) > INTEGER_BITS or int(digits).bit_length() > INTEGER_BITS:
            self.fail(f"the integer {_shortened(token.text)} has more than {INTEGER_BITS} bits", token)
        return int(token.text)

    def _tokenize(self, text: str) -> Iterator[Token]:
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                self._fail_character(text[position:], position)
            kind, position = str(match.lastgroup), match.end()
            if kind != "skip":
                yield self._token(Kind[kind.upper()], match.group(), match.start())
        yield Token(Kind.END, "", len(text), "")

    def _token(self, kind: Kind, written: str, offset: int) -> Token:
        inner = written[1:] if kind in (Kind.TENSOR, Kind.NODE) else written
        token = Token(kind, inner, offset, written)
        return Token(kind, self._unquote(token), offset, written) if inner.startswith('"') else token

    def _unquote(self, token: Token) -> str:
        def meaning(escaped: re.Match[str]) -> str:
            digits = escaped.group(1) or escaped.group(2)
            if digits and int(digits, 16) <= 0x10FFFF:
                return chr(int(digits, 16))
            if escaped.group(3) not in _ESCAPES:
                self.fail(f"unknown escape '{escaped.group()}' in a string", token, f"write one of {_ESCAPE_HELP}")
            return _ESCAPES[escaped.group(3)]

        return _ESCAPED.sub(meaning, token.text[1:-1])

    def _fail_character(self, rest: str, position: int) -> NoReturn:
        token = Token(Kind.MARK, rest[0], position, rest[0])
        if rest[0] == '"' or rest[:2] in ('%"', '@"'):
            self.fail("the quoted string does not end on its line", token, 'close it with "')
        if rest[0] in "%@":
            self.fail(f"'{rest[0]}' is not followed by a name", token, 'write a plain identifier or a "quoted name"')
        self.fail(f"unexpected character {rest[0]!r}", token)


_ESCAPE_HELP = " ".join("\\" + letter for letter in _ESCAPES) + r" \uXXXX \UXXXXXXXX"


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
