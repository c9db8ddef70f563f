"""A pytest plugin that runs hvac's own integration tests against the development Vault (``make test-hvac``).

The tests stay as they are. Only where one mounts some engine or method and any would do, it gets one that is here.
A test that is listed in `beyond` must fail; one that is skipped must be listed there.
"""

import functools
from collections.abc import Generator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from beyond import REASONS
from hvac.api.system_backend import Auth, Mount
from hvac.exceptions import VaultError

FILES = {
    "api/auth_methods": ("approle", "aws", "jwt", "token"),
    "api/secrets_engines": ("transit",),
    "api/system_backend": ("audit", "auth", "health", "init", "leader", "mount", "policies", "policy", "seal"),
    "v1": ("approle",),
}
"""The modules of what ANFL uses, below ``tests/integration_tests``."""
STAND_INS = {"kv": "transit", "github": "approle"}
"""What is mounted instead of an engine or method whose kind does not matter to the test."""


def _standing_in(enable: Any, argument: str) -> Any:
    @functools.wraps(enable)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        if options.get(argument) in STAND_INS:
            options = {name: value for name, value in options.items() if name != "options"}
            options[argument] = STAND_INS[options[argument]]
        return enable(self, *args, **options)

    return call


def pytest_configure() -> None:
    """Before any test is read."""
    Mount.enable_secrets_engine = _standing_in(Mount.enable_secrets_engine, "backend_type")
    Auth.enable_auth_method = _standing_in(Auth.enable_auth_method, "method_type")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Read no test of what ANFL does not use: some need more than is installed."""
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    folder = collection_path.parent.as_posix().rpartition("/integration_tests/")[2]
    return collection_path.stem.removeprefix("test_") not in FILES.get(folder, ())


def _name(item: pytest.Item) -> str:
    return ".".join(item.nodeid.split("::")[1:])


def reason_of(item: pytest.Item) -> str | None:
    """Why it cannot pass; None where it must."""
    return next((reason for pattern, reason in REASONS.items() if fnmatchcase(_name(item), pattern)), None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect of each test what the list says of it."""
    names = {_name(item) for item in items}
    classes = {name.partition(".")[0] for name in names}
    for pattern in REASONS:
        if pattern.partition(".")[0] in classes and not any(fnmatchcase(name, pattern) for name in names):
            raise pytest.UsageError(f"listed in beyond.py, but no such test: {pattern}")
    for item in items:
        if reason := reason_of(item):
            item.add_marker(pytest.mark.xfail(raises=VaultError, strict=True, reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip that nobody gave a reason for is a failure: it may hide that the server did not start."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and reason_of(item) is None:
        report.outcome = "failed"
        report.longrepr = f"skipped, and not listed in beyond.py: {report.longrepr}"
    return report
