"""The parts of docs/benchmarks.md that benches beside scripts/bench write: each stands between two comments that name it, below the
heading from which on scripts/bench leaves the document alone."""

import pathlib

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent / "docs/benchmarks.md"


class Unmarked(Exception):
    """The document has no place for the part."""


def replaced(document, part, text):
    """The document with `text` (lines without a last newline) as the part of this name. Raises Unmarked."""
    begin, end = f"<!-- begin {part} -->\n", f"\n<!-- end {part} -->"
    at = document.find(begin)
    until = document.find(end, at)
    if at < 0 or until < 0:
        raise Unmarked(f"no {begin.strip()} with its end")
    return document[:at + len(begin)] + text + document[until:]


def write(part, text):
    """Puts the part into docs/benchmarks.md, and leaves everything else as it is. Raises Unmarked and OSError."""
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(), part, text))
