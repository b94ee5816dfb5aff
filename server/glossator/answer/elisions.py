"""Recognise what a model leaves out: a lone `...`, `# ... existing code ...`, `// rest unchanged`."""

from __future__ import annotations

import re
from collections.abc import Iterable

_COMMENT = r"(?:#+|//+|/\*+|\*|--|;+|<!--|%|\{/\*|\"\"\"|''')"
_WORDS = (
    r"(?:rest|remain\w*|existing|previous|other|same|unchanged|omitted|snip(?:ped)?|as before|code here|truncated"
    r"|before|no changes?|not changed|keep)"
)
_DOTS = r"(?:\.\.\.+|…)"
_LONE = re.compile(rf"\s*(?:{_COMMENT}\s*)?{_DOTS}\s*(?:\*/|-->|\*/\}})?\s*$")
_TOLD = re.compile(
    rf"\s*{_COMMENT}\s*{_DOTS}.*\b{_WORDS}\b.*$|\s*{_COMMENT}\s*.*\b{_WORDS}\b.*{_DOTS}\s*(?:\*/|-->|\*/\}})?\s*$",
    re.IGNORECASE,
)
_DOTTED = re.compile(rf"\s*{_COMMENT}\s*{_DOTS}.*{_DOTS}\s*(?:\*/|-->|\*/\}})?\s*$")
_PHRASED = re.compile(
    rf"\s*{_COMMENT}\s*[\[(<]?\s*(?:the\s+)?(?:rest|remainder)\s+of\s+(?:the\s+|your\s+|this\s+)*\w*\s*(?:code|file|function|class|method|module|implementation|script)?\b.*$"
    rf"|\s*{_COMMENT}\s*[\[(<]?\s*(?:\w+\s+){{0,4}}(?:code|methods?|functions?|file|imports?)\s+(?:remains?|stays?|is|are|here)?\s*(?:the\s+)?(?:unchanged|same|as before|omitted)\b.*$"
    rf"|\s*{_COMMENT}\s*[\[(<]?\s*(?:existing|unchanged|previous)\s+(?:code|methods?|functions?|implementation|imports?)\b[^;=]*$"
    rf"|\s*{_COMMENT}\s*\[\.\.\.\].*$"
    rf"|\s*{_COMMENT}\s*(?:Plandex: removed).*$",
    re.IGNORECASE,
)
_WHOLE_COMMENT = re.compile(rf"\s*{_COMMENT}")


def is_elision(line: str) -> bool:
    """Say whether *line* stands for lines that were left out."""
    if _LONE.match(line):
        return True
    if _WHOLE_COMMENT.match(line) is None:
        return False
    return bool(_TOLD.match(line) or _DOTTED.match(line) or _PHRASED.match(line))


def elided(lines: Iterable[str], *, base: Iterable[str]) -> list[str]:
    """Return the lines that leave something out and do not stand in *base* already."""
    known = {line.strip() for line in base}
    return [line for line in lines if line.strip() not in known and is_elision(line)]
