"""What would be installed for a model: by name, or from hosts that operators trust, whatever else a file says."""

import pytest

from anfl.inspection.codes import Code, Finding
from anfl.inspection.requirements import Trusted, requirements

HOSTS = ("index.example.test", "files.example.test", "corp.example.test:8443")
LOCK = """
version = 1
[[package]]
name = "mine"
source = { editable = "." }
[[package]]
name = "x"
source = { registry = "https://index.example.test/simple" }
sdist = { url = "https://files.example.test/packages/x-1%2Bcpu.tar.gz", hash = "sha256:ab" }
wheels = [{ url = "https://files.example.test/packages/x-1-py3-none-any.whl", hash = "sha256:ab" }]
"""


def codes(name: str, text: str, *, hosts: tuple[str, ...] = HOSTS) -> list[Code]:
    return [finding.code for finding in requirements(name, text.encode(), hosts=hosts)]


GOOD = {
    "requirements.txt": "--index-url https://index.example.test/simple\n--extra-index-url=https://corp.example.test:8443/x\n"
    "-i https://index.example.test\nnumpy==2.0\n",
    "python_env.yaml": "dependencies: ['--extra-index-url https://index.example.test/simple', 'numpy']\n",
    "conda.yaml": "channels: ['https://corp.example.test:8443/conda', conda-forge]\ndependencies: [python]\n",
    "uv.lock": LOCK,
}


@pytest.mark.parametrize("name", GOOD)
def test_hosts_that_operators_trust_may_be_named_and_no_others(name: str) -> None:
    assert codes(name, GOOD[name]) == []
    assert codes(name, GOOD[name], hosts=()) == [Code.FOREIGN_REQUIREMENT]
    for host in HOSTS:
        if host in GOOD[name]:
            others = tuple(other for other in HOSTS if other != host)
            assert codes(name, GOOD[name], hosts=others) == [Code.FOREIGN_REQUIREMENT], host


@pytest.mark.parametrize(
    "line",
    [
        "x @ https://files.example.test/x.whl",
        "https://files.example.test/x.whl",
        "git+https://index.example.test/x",
        "--find-links https://files.example.test/",
        "--trusted-host index.example.test",
        "--index-url http://index.example.test/simple",
        "--index-url https://index.example.test/simple --find-links .",
        "--index-url https://index.example.test.attacker.example/simple",
        "--index-url https://user@index.example.test/simple",
        "--index-url https://attacker.example/https://index.example.test/",
        "--index-url ${INDEX}",
    ],
)
def test_more_than_an_index_at_a_trusted_host_is_foreign(line: str) -> None:
    assert codes("requirements.txt", f"numpy\n{line}\n") == [Code.FOREIGN_REQUIREMENT]


@pytest.mark.parametrize(
    "source",
    [
        'source = { registry = "https://attacker.example/simple" }',
        'source = { registry = "https:\\u002f\\u002fattacker.example/simple" }',
        'source = { "regis\\u0074ry" = "https://attacker.example/simple" }',
        'source = { registry = "./wheels" }',
        'source = { git = "https://attacker.example/x?rev=1#2" }',
        'source = { git = "git@attacker.example:x" }',
        'source = { url = "https://attacker.example/x.whl" }',
        'source = { path = "x.whl" }',
        'source = { directory = "x" }',
        'source = { editable = "x" }',
        'source = { registry = "https://index.example.test/" }\nwheels = [{ url = "https://attacker.example/x.whl" }]',
        'source = { registry = "https://index.example.test/" }\nwheels = [{ path = "x.whl" }]',
    ],
)
def test_where_a_lock_has_packages_from_is_told_however_it_is_written(source: str) -> None:
    assert codes("uv.lock", f'version = 1\n[[package]]\nname = "x"\n{source}\n') == [Code.FOREIGN_REQUIREMENT]


@pytest.mark.parametrize("text", ["x = ", "[[package]", "a = " + "[" * 100_000])
def test_a_lock_that_cannot_be_read_is_malformed(text: str) -> None:
    with pytest.raises(Finding) as found:
        requirements("uv.lock", text.encode(), hosts=HOSTS)
    assert found.value.code is Code.MALFORMED


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("https://index.example.test", True),
        ("https://INDEX.example.test/simple/", True),
        ("https://index.example.test:443/", False),
        ("https://index.example.test/x\\@attacker.example", False),
        ("https://index.example.test?x", False),
        ("https://attacker.example#index.example.test", False),
        ("//index.example.test/", False),
        ("ftp://index.example.test/", False),
        (" https://index.example.test/", False),
        ("https://index.example.test/\n--find-links .", False),
    ],
)
def test_an_address_is_at_a_host_as_every_reader_takes_it(address: str, trusted: bool) -> None:
    assert Trusted(HOSTS).has(address) is trusted
