"""Take out of a system prompt what it says twice.

Two things must hold, or providers' prompt caches miss. The same text always becomes the same text.
And what a text becomes up to a line's end does not depend on what follows, so that prompts which
begin alike still begin alike: each line is decided by itself and by what was kept before it.
"""

from __future__ import annotations

import re
from typing import Final

_LINE: Final = re.compile(r"[^\n]*+\n|[^\n]++")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_MARKER: Final = re.compile(r"[ \t]*(?:[-*+•][ \t]+|[0-9]{1,3}[.)][ \t]+)?")
_STOP: Final = re.compile(r"[.!?][\"')\]”’]{0,3}(?=[ \t])|[。！？][」』”]{0,3}")  # noqa: RUF001
_NEXT: Final = re.compile(r"[ \t]*+(\S)")
_WORD: Final = re.compile(r"[^\W_]+")
_ROLE: Final = re.compile(
    r"(?:you\s+are|you're|you\s+act\s+as|act\s+as|your\s+(?:role|task)\s+is|as\s+an\s+ai)\b",
    re.IGNORECASE,
)
_ENDS: Final = re.compile(r"[.!?。！？][\"')\]”’」』]{0,3}$")  # noqa: RUF001
_ABBREVIATED: Final = frozenset({
    "e.g", "i.e", "etc", "vs", "cf", "no", "nr", "fig", "mr", "mrs", "ms", "dr", "prof", "st",
    "approx", "inc", "ltd", "al",
})  # fmt: skip
"""Words before a full stop that ends no sentence."""
_FEW: Final = 4
"""Words. A shorter sentence (`Be brief.`, an answer in an example) may well be said twice."""


class Trimmer:
    """Trims the texts of one system prompt, in order; what one has said, the next need not say."""

    def __init__(self) -> None:
        self._said: set[tuple[str, ...]] = set()

    def trim(self, text: str) -> str:
        """Return *text* without repeated sentences, repeated role lines and runs of blank lines.

        A sentence is repeated if the same words came before, in any letter case and spacing. Only
        one of four or more words counts that ends with a full stop, an exclamation or a question
        mark; of a role line (`You are ...`), any. Fenced code stays as it is, and so do headings,
        tables, tags and indented lines, and the first line that is not blank: no text becomes
        empty.
        """
        kept: list[str] = []
        fence = ""
        blank = False
        """Whether the last line that was kept is blank."""
        first = True
        """Whether nothing but blank lines was kept so far."""
        for line in _LINE.findall(text):
            if fence:
                kept.append(line)
                if _closes(line, fence):
                    fence = ""
                continue
            opened = _FENCE.match(line)
            if opened:
                fence = opened[1]
                new = line
            else:
                new = self._line(line)
                if first and not new:
                    new = line
                if not new or (blank and not new.strip()):
                    continue
            kept.append(new)
            blank = not new.strip()
            first = first and blank
        return "".join(kept)

    def _line(self, line: str) -> str:
        """Return what is left of *line*, with its end; empty: nothing is, and it goes."""
        text = line.rstrip()
        end = line[len(line.rstrip("\r\n")) :]
        if not text:
            return end
        if text.startswith(("#", "|", "    ", "\t", "<")):
            return line
        marker = _MARKER.match(text)
        begin = marker.end() if marker else 0
        whole = text[begin:]
        if _ROLE.match(whole) and not _ENDS.search(whole):
            return "" if self._is_repeated(whole, 1) else line
        kept = [sentence for sentence in sentences(whole) if not self._repeats(sentence)]
        left = "".join(kept).rstrip()
        if not left:
            return ""
        return line if len(left) == len(whole) else text[:begin] + left.lstrip() + end

    def _repeats(self, sentence: str) -> bool:
        sentence = sentence.strip()
        if not _ENDS.search(sentence):
            return False
        return self._is_repeated(sentence, 1 if _ROLE.match(sentence) else _FEW)

    def _is_repeated(self, sentence: str, few: int) -> bool:
        words = tuple(_WORD.findall(sentence.casefold()))
        if len(words) < few:
            return False
        if words in self._said:
            return True
        self._said.add(words)
        return False


def sentences(text: str) -> list[str]:
    """Split *text* behind the ends of its sentences; joined, the parts are the text again.

    A stop ends none before a small letter, or behind an abbreviation or a single letter.
    """
    found: list[str] = []
    begin = 0
    for stop in _STOP.finditer(text):
        following = _NEXT.match(text, stop.end())
        if following is None or following[1].islower():
            continue
        if stop[0][0] == "." and _is_abbreviation(
            text[max(begin, stop.start() - 12) : stop.start()]
        ):
            continue
        found.append(text[begin : stop.end()])
        begin = stop.end()
    if begin < len(text):
        found.append(text[begin:])
    return found


def _is_abbreviation(before: str) -> bool:
    word = before.split(" ")[-1].lstrip("([\"'").lower()
    return len(word) < 2 or word in _ABBREVIATED


def _closes(line: str, fence: str) -> bool:
    text = line.strip()
    return len(text) >= len(fence) and not text.strip(fence[0]) and line[:4].strip(" ") != ""
