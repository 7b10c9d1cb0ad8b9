"""Spectra in columns of text, as instruments and people write them: xy, xye, csv, dat, txt, RRUFF, UXD.

The delimiter (tab, semicolon, comma, blanks) and the decimal mark are found from the numbers themselves; where a comma could
be either, the file is refused rather than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from euhedral.errors import FileFormatError

# What begins a line that is not data. A quote begins comments in Bruker's .xy files and titles in csv files; or a number.
_COMMENT: Final = ("#", "!", "%", "//", "/*", "*")
_QUOTES: Final = ("'", '"')
_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"
_COMMA_NUMBER: Final = r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?"
_IS_NUMBER: Final = re.compile(_NUMBER)
_IS_COMMA_NUMBER: Final = re.compile(_COMMA_NUMBER)
_MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "--", "inf", "-inf", "+inf"})
_UXD_VALUE: Final = re.compile(r"_([A-Z0-9_]+)\s*=\s*(.*)")
_UXD_DATA: Final = re.compile(r"_(2THETA)?(COUNTS|CPS)\s*")


@dataclass(frozen=True)
class Columns:
    """Numbers of a text file.

    Args:
        x: first of the chosen columns.
        y: second of them.
        metadata: what the lines before the numbers say, and the third column as "uncertainty".
    """

    x: list[float]
    y: list[float]
    metadata: dict[str, Any]


@dataclass(frozen=True)
class _Dialect:
    split: Callable[[str], list[str]]
    comma: bool

    def numbers(self, line: str) -> list[float | None]:
        """The words of a line as numbers: NaN where a value is missing, None where it is none."""
        return [self._number(word.strip().strip('"')) for word in self.split(line)]

    def _number(self, word: str) -> float | None:
        if self.comma:
            if _IS_COMMA_NUMBER.fullmatch(word):
                word = word.replace(",", ".")
            elif "." in word and "," in word:
                return None
        if _IS_NUMBER.fullmatch(word):
            return float(word.replace("d", "e").replace("D", "e"))
        return float("nan") if word.lower() in _MISSING else None


def read_columns(text: str, *, name: str, columns: tuple[int, int] = (0, 1)) -> Columns:
    """Read two columns of numbers.

    Args:
        text: the file's.
        name: its name.
        columns: which columns are x and y, from 0; a third one beside the first two is kept as the uncertainty of y.

    Raises:
        FileFormatError: no numbers, a line that is not of numbers among them, or a comma that could mean two things.
    """
    lines = text.splitlines()
    if any(line.startswith("_") for line in lines[:200]) and any(_UXD_DATA.fullmatch(line) for line in lines):
        return _read_uxd(lines, name=name)
    metadata, first = _header(lines)
    body = [(at + 1, line.strip()) for at, line in enumerate(lines) if at >= first and not _is_comment(line.strip())]
    if not body:
        raise FileFormatError(f"{name}: no line of numbers was found; expected two columns, x and y")
    dialect = _dialect([line for _, line in body], name=name)
    rows = []
    for at, line in body:
        numbers = dialect.numbers(line)
        while (
            numbers and numbers[-1] != numbers[-1] and line.rstrip().endswith((";", ","))
        ):  # a delimiter ends the line
            numbers.pop()
        if None in numbers:
            raise FileFormatError(f"{name}, line {at}: expected numbers, got {line[:60]!r}; correct or remove the line")
        if rows and len(numbers) != len(rows[0]):
            raise FileFormatError(
                f"{name}, line {at}: {len(numbers)} numbers where the lines before have {len(rows[0])}; correct the line"
            )
        if len(numbers) <= max(columns):
            raise FileFormatError(
                f"{name}, line {at}: column {max(columns) + 1} was asked for, but there are {len(numbers)}; expected x and y"
            )
        rows.append(numbers)
    if columns == (0, 1) and len(rows[0]) == 3:
        metadata["uncertainty"] = tuple(row[2] for row in rows)
    scale = 0.01 if metadata.pop("centidegrees", False) else 1.0
    return Columns([row[columns[0]] * scale for row in rows], [row[columns[1]] for row in rows], metadata)


def _header(lines: Sequence[str]) -> tuple[dict[str, Any], int]:
    """What the lines before the first number say, and where that is."""
    metadata: dict[str, Any] = {}
    title: list[str] = []
    for at, raw in enumerate(lines):
        line = raw.strip()
        if line.startswith("##"):  # RRUFF: ##NAMES=Albite
            key, _, value = line[2:].partition("=")
            if value:
                metadata[key.strip().lower()] = value.strip()
            continue
        if _is_comment(line):
            if line.strip("#!%/*'\" \t"):
                title.append(line.strip("#!%/*'\" \t"))
            continue
        if line.upper().startswith("BANK") and line.upper().split()[-1] in {"FXYE", "FXY"}:
            metadata["centidegrees"] = True  # GSAS
            continue
        if _looks_numeric(line):
            if title:
                metadata["header"] = tuple(title)
            return metadata, at
        title.append(line)
    return metadata, len(lines)


def _is_comment(line: str) -> bool:
    return not line or line.startswith(_COMMENT) or (line.startswith(_QUOTES) and not _looks_numeric(line))


def _looks_numeric(line: str) -> bool:
    words = [word for word in re.split(r"[\s;,]+", line) if word]
    # one number alone is a count of points, or a temperature, above the data
    return len(words) >= 2 and all(
        _IS_NUMBER.fullmatch(word.strip('"')) or word.lower() in _MISSING for word in words
    ) and any(_IS_NUMBER.fullmatch(word.strip('"')) for word in words)  # fmt: skip


def _dialect(lines: Sequence[str], *, name: str) -> _Dialect:
    """Find delimiter and decimal mark from all lines of numbers."""
    sample = lines[:: max(1, len(lines) // 200)]
    if all("\t" in line for line in sample):
        return _Dialect(lambda line: line.split("\t"), comma=_has_decimal_comma(sample, "\t"))
    if all(";" in line for line in sample):
        return _Dialect(lambda line: line.split(";"), comma=_has_decimal_comma(sample, ";"))
    if not any("," in line for line in sample):
        return _Dialect(lambda line: line.split(), comma=False)
    blanks = [re.split(r"\s+", line) for line in sample]
    if all(len(words) >= 2 for words in blanks):
        # "1,5 2,5": blanks divide and commas are decimal; "1.5, 2.5" and "1, 2": commas divide;
        # "1,5, 2,5": both at once; "1, 2,3" could be three whole numbers or two numbers
        ends = [word.endswith(",") for words in blanks for word in words[:-1]]
        inner = [bool(_IS_COMMA_NUMBER.fullmatch(word.rstrip(","))) for words in blanks for word in words]
        if not any(ends) and any(inner):
            return _Dialect(lambda line: line.split(), comma=True)
        if all(ends) and all(inner):
            return _Dialect(lambda line: re.split(r",\s+", line), comma=True)
        if any(inner) and any(ends):
            raise FileFormatError(
                f"{name}: commas stand both inside numbers and between them, as in {sample[0][:40]!r}; export it with points or tabs"
            )
    if any(line.count(",") == 3 and "." not in line and " " not in line for line in sample) and all(
        re.fullmatch(r"[-+]?\d+,\d+,[-+]?\d+,\d+", line) for line in sample
    ):
        raise FileFormatError(
            f"{name}: {sample[0][:40]!r} could be four whole numbers or two with decimal commas; export it with points or tabs"
        )
    return _Dialect(lambda line: line.split(","), comma=False)


def _has_decimal_comma(lines: Sequence[str], delimiter: str) -> bool:
    return any(_IS_COMMA_NUMBER.fullmatch(word.strip()) for line in lines for word in line.split(delimiter))


def _read_uxd(lines: Sequence[str], *, name: str) -> Columns:
    """Bruker's UXD: _KEY=value lines, then counts from _2THETA on in steps of _STEPSIZE, or pairs of angle and counts."""
    metadata: dict[str, Any] = {}
    values: list[float] = []
    paired = started = False
    for at, raw in enumerate(lines):
        line = raw.strip()
        if not line or line.startswith(";"):
            if started and values and line.startswith(";"):
                break  # the next range
            continue
        if _UXD_DATA.fullmatch(line):
            if started:
                break
            started, paired = True, "2THETA" in line
            continue
        found = _UXD_VALUE.fullmatch(line)
        if found:
            if started:
                break
            metadata[found[1].lower()] = found[2].strip().strip("'\"")
            continue
        if not started:
            continue
        words = line.replace(",", " ").split()
        if not all(_IS_NUMBER.fullmatch(word) for word in words):
            raise FileFormatError(
                f"{name}, line {at + 1}: expected counts, got {line[:60]!r}; correct or remove the line"
            )
        values += [float(word.replace("d", "e").replace("D", "e")) for word in words]
    if paired:
        if len(values) % 2:
            raise FileFormatError(f"{name}: pairs of angle and counts were expected, but the last angle has no counts")
        return Columns(values[::2], values[1::2], metadata)
    start = metadata.get("start", metadata.get("2theta", ""))
    step = metadata.get("stepsize", "")
    if not (_IS_NUMBER.fullmatch(start) and _IS_NUMBER.fullmatch(step)):
        raise FileFormatError(
            f"{name}: counts without angles need _2THETA (or _START) and _STEPSIZE, got {start!r} and {step!r}"
        )
    return Columns([float(start) + i * float(step) for i in range(len(values))], values, metadata)
