"""CIF as text: data blocks, tags, loops, quoted strings and text fields, with the line of each value.

The reader is tolerant where files in the wild stray harmlessly (values with spaces that nobody quoted, upper-case tags,
dots for underscores as in the newer dictionaries) and names the line where a file cannot be understood.

Source: Hall, Allen and Brown 1991, doi:10.1107/S010876739101067X; the grammar of CIF 1.1.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from euhedral.errors import FileFormatError

# A quote ends a string only before white space, so 'a dog's life' is one value.
_TOKEN = re.compile(r"'((?:[^']|'(?=\S))*)'(?=\s|$)|\"((?:[^\"]|\"(?=\S))*)\"(?=\s|$)|(#.*)|(\S+)")
_RESERVED = ("data_", "loop_", "save_", "global_", "stop_")


@dataclass
class Loop:
    """One table.

    Args:
        tags: column names, lower case.
        line: where it starts.
        values: row after row.
        marks: (values read before a line, that line) for every line with values.
    """

    tags: list[str]
    line: int
    values: list[str] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)

    def column(self, tag: str) -> list[str]:
        """Values of one column."""
        return self.values[self.tags.index(tag) :: len(self.tags)]

    def line_of(self, row: int) -> int:
        """Line on which a row starts."""
        position = bisect_right(self.marks, (row * len(self.tags), 1 << 60)) - 1
        return self.marks[position][1] if position >= 0 else self.line

    def lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line number and the values of each line of the table."""
        ends = [start for start, _ in self.marks[1:]] + [len(self.values)]
        for (start, line), end in zip(self.marks, ends, strict=True):
            yield line, self.values[start:end]


@dataclass
class Block:
    """One data block.

    Args:
        name: what follows `data_`.
        line: where it starts.
        items: single values by tag, lower case; the first wins.
        item_lines: where each stands.
        loops: the tables.
    """

    name: str
    line: int
    items: dict[str, str] = field(default_factory=dict)
    item_lines: dict[str, int] = field(default_factory=dict)
    loops: list[Loop] = field(default_factory=list)

    def get(self, *tags: str) -> str | None:
        """Return the first of these tags that has a value, whether alone or in a table of one row."""
        for tag in tags:
            value = self.items.get(tag)
            if value is None:
                loop = self.loop(tag)
                value = loop.values[loop.tags.index(tag)] if loop and len(loop.values) == len(loop.tags) else None
            if value is not None and value not in {"?", "."}:
                return value
        return None

    def loop(self, *tags: str) -> Loop | None:
        """Return the first table that has one of these columns."""
        for tag in tags:
            for loop in self.loops:
                if tag in loop.tags:
                    return loop
        return None


class _Reader:
    """State of one pass through the lines."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.pending: str | None = None  # a tag that waits for its value
        self.last: tuple[str, int] | None = None  # the tag that got a value, and the line
        self.loop: Loop | None = None
        self.in_header = False

    def block(self, line: int) -> Block:
        if not self.blocks:
            self.blocks.append(Block(name="", line=line))
        return self.blocks[-1]

    def value(self, text: str, line: int) -> None:
        if self.pending is not None:
            block = self.block(line)
            if self.pending not in block.items:
                block.items[self.pending] = text
                block.item_lines[self.pending] = line
            self.last = (self.pending, line)
            self.pending = None
        elif self.loop is not None:
            self.in_header = False
            self.loop.marks.append((len(self.loop.values), line))
            self.loop.values.append(text)
        elif self.last is not None and self.last[1] == line:
            # `_symmetry_space_group_name_H-M F m -3 m`: spaces that nobody quoted
            items = self.block(line).items
            items[self.last[0]] += " " + text

    def tag(self, text: str) -> None:
        name = text.lower().replace(".", "_")
        if self.loop is not None and self.in_header:
            self.loop.tags.append(name)
            return
        self.loop = None
        self.pending = name  # a tag without a value before the next tag is dropped: it says nothing

    def keyword(self, text: str, line: int) -> None:
        lower = text.lower()
        self.pending = self.last = None
        if lower.startswith("data_"):
            self.blocks.append(Block(name=text[5:], line=line))
            self.loop, self.in_header = None, False
        elif lower == "loop_":
            self.loop, self.in_header = Loop(tags=[], line=line), True
            self.block(line).loops.append(self.loop)
        else:
            self.loop, self.in_header = None, False


def parse_blocks(text: str, *, name: str) -> list[Block]:
    """Split the text of a CIF into data blocks.

    Args:
        text: the file's text.
        name: what errors call the file.

    Raises:
        FileFormatError: a text field is never closed.
    """
    reader = _Reader()
    lines = text.splitlines() if "\r" in text else text.split("\n")
    position, end = 0, len(lines)
    while position < end:
        line = lines[position]
        position += 1
        if line[:1] == ";":
            start = position
            body = [line[1:]]
            while position < end and lines[position][:1] != ";":
                body.append(lines[position])
                position += 1
            if position == end:
                raise FileFormatError(
                    f"{name}, line {start}: the text field that ';' opens is never closed; the file may be cut short"
                )
            reader.value("\n".join(body).strip(), start)
            line = lines[position][1:]
            position += 1
        loop = reader.loop
        if "'" in line or '"' in line or "#" in line:
            _read_words(reader, line, position)
            continue
        words = line.split()
        if not words:
            continue
        if "_" in line:
            for word in words:
                _read_bare_word(reader, word, position)
        elif loop is not None and reader.pending is None:
            # nothing here can be a tag, a keyword, a quotation or a comment: a row of a table
            reader.in_header = False
            loop.marks.append((len(loop.values), position))
            loop.values += words
        else:
            for word in words:
                reader.value(word, position)
    for block in reader.blocks:
        block.loops = [loop for loop in block.loops if loop.tags]
    return reader.blocks


def _read_words(reader: _Reader, line: str, number: int) -> None:
    for match in _TOKEN.finditer(line):
        single, double, comment, word = match.groups()
        if comment is not None:
            return
        if word is None:
            reader.value(single if single is not None else double, number)
        else:
            _read_bare_word(reader, word, number)


def _read_bare_word(reader: _Reader, word: str, number: int) -> None:
    if word[0] == "_":
        reader.tag(word)
    elif word[-1] == "_" or "_" in word[:7]:
        if word.lower().startswith(_RESERVED):
            reader.keyword(word, number)
        else:
            reader.value(word, number)
    else:
        reader.value(word, number)
