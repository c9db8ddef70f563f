"""What is published of reports is what the code writes."""

import json
from pathlib import Path

import msgspec
from typer.testing import CliRunner

from anfl.cli.main import app
from anfl.inspection import schema
from anfl.inspection.codes import Code, Finding, Status
from anfl.inspection.report import Report
from bundling.sources import ROOT


def test_the_published_schema_is_the_present_one() -> None:
    assert (ROOT / "docs/validation_report.schema.json").read_text() == schema.text(), "run 'make openapi'"


def test_the_documentation_lists_every_code() -> None:
    text = (ROOT / "docs/model_registry.md").read_text()
    missing = [code for code in Code if f"| `{code}` | {code.meaning} |" not in text]
    assert missing == []
    assert {code.status for code in Code} == {Status.REJECTED, Status.QUARANTINED}


def test_a_report_of_the_command_can_be_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    result = CliRunner().invoke(app, ["models", "inspect", str(tmp_path), "--json"])
    assert result.exit_code == 1
    report = msgspec.convert(json.loads(result.stdout), Report)
    assert [(reason.code, reason.file) for reason in report.reasons] == [("dangerous_global", "model.pkl")]


def test_a_name_that_is_no_text_is_reported_as_escapes(tmp_path: Path) -> None:
    (Path(tmp_path) / "caf\udce9\n.txt").write_text("x")
    result = CliRunner().invoke(app, ["models", "inspect", str(tmp_path), "--json"])
    report = msgspec.convert(json.loads(result.stdout), Report)
    assert [(reason.code, reason.file) for reason in report.reasons] == [("deceptive_name", "caf\\udce9\\n.txt")]


def test_no_detail_steers_a_terminal() -> None:
    assert Finding(Code.MALFORMED, "red \x1b[31m and \u202e back").detail == "red \\x1b[31m and \\u202e back"


def test_a_report_of_a_later_release_can_be_read() -> None:
    later = b'{"status": "REJECTED", "reasons": [{"code": "new_code", "file": null, "detail": ""}], "files": []}'
    assert msgspec.json.decode(later, type=Report).reasons[0].code == "new_code"
