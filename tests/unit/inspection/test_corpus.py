"""Every malicious file ends REJECTED or QUARANTINED, for its true reason and no other; nothing of it is executed."""

from functools import partial

import pytest

from anfl.inspection.codes import Status, printable
from anfl.inspection.inspector import FileSource, Local, inspect_files
from anfl.inspection.limits import MIB, Limits
from anfl.inspection.report import Report
from tests.unit.inspection.corpus import archives, onnx_models, others, pickles, templates
from tests.unit.inspection.corpus.case import Case

CASES = [*pickles.CASES, *archives.CASES, *others.CASES, *onnx_models.CASES, *templates.CASES]

_LIMITS = Limits(entries=1000, ratio_from=4 * MIB, run_seconds=1)
"""Small bombs do as well."""


@pytest.fixture(name="report", scope="module")
def _report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """All of the corpus at once, each file in a folder of its own."""
    folder = tmp_path_factory.mktemp("corpus")
    sources = []
    for number, one in enumerate(CASES):
        file = folder / str(number)
        file.write_bytes(one.content)
        sources.append(FileSource(path=one.name, size=len(one.content), local=partial(Local, file)))
    return inspect_files(sources, limits=_LIMITS, scratch=folder)


def test_no_two_files_of_the_corpus_have_one_name() -> None:
    assert len({one.name for one in CASES}) == len(CASES)


@pytest.mark.parametrize("one", CASES, ids=lambda one: printable(one.name))
def test_a_malicious_file_is_refused_for_its_true_reason(one: Case, report: Report) -> None:
    name = printable(one.name)
    own = [reason for reason in report.reasons if reason.file and reason.file.split("!")[0] == name]
    assert {reason.code for reason in own} == one.codes, own
    assert all(code.status is not Status.VALIDATED for code in one.codes)


def test_the_corpus_left_nothing_behind(report: Report, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert report.status is Status.REJECTED
    folders = tmp_path_factory.getbasetemp().glob("corpus*/inspect-*")
    assert list(folders) == []
