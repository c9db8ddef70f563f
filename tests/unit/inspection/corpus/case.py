"""One malicious file and what must be said of it."""

from dataclasses import dataclass

from anfl.inspection.codes import Code


@dataclass(frozen=True)
class Case:
    """A file of the corpus; ``codes`` are all the reasons that its inspection gives, no more and no less."""

    name: str
    content: bytes
    codes: frozenset[Code]


def case(name: str, content: bytes, *codes: Code) -> Case:
    return Case(name, content, frozenset(codes))
