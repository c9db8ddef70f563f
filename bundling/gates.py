"""What a bundle must be to run on Lambda and on Amazon Linux 2023."""

import re
from pathlib import Path

import capstone
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from bundling.errors import BundlingError

NEWEST = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29)}
"""Of Amazon Linux 2023."""
LIMIT = 200 * 2**20
"""Unpacked bytes of a bundle; Lambda ends at 250 MiB."""
_VERSION = re.compile(r"(GLIBC|GLIBCXX)_([0-9.]+)")


def check_portable(library: Path) -> None:
    """Refuse a shared object for another processor, or one that needs newer system libraries than `NEWEST`.

    :raises BundlingError: naming the file and the symbol version.
    """
    with library.open("rb") as stream:
        elf = ELFFile(stream)
        if elf.get_machine_arch() != "x64":
            raise BundlingError(f"{library.name} is for {elf.get_machine_arch()}, not x86_64.")
        for section in elf.iter_sections():
            if not isinstance(section, GNUVerNeedSection):
                continue
            for needed, versions in section.iter_versions():
                for version in versions:
                    match = _VERSION.fullmatch(version.name)
                    if match and tuple(map(int, match[2].split("."))) > NEWEST[match[1]]:
                        newest = ".".join(map(str, NEWEST[match[1]]))
                        raise BundlingError(
                            f"{library.name} needs {version.name} of {needed.name}; Amazon Linux 2023 ends at {newest}."
                        )


def check_vectorised(library: Path) -> None:
    """Refuse machine code without 256-bit instructions: distances would take twice as long.

    :raises BundlingError: no instruction uses a ``ymm`` register.
    """
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    disassembler.skipdata = True
    with library.open("rb") as stream:
        text = ELFFile(stream).get_section_by_name(".text")
        if text is None:
            raise BundlingError(f"{library.name} holds no code.")
        code, address = text.data(), text["sh_addr"]
    if not any("ymm" in operands for _, _, _, operands in disassembler.disasm_lite(code, address)):
        raise BundlingError(f"{library.name} holds no AVX code; compile it for x86-64-v3.")


def check_bundle(folder: Path) -> int:
    """Apply every gate to an unpacked bundle and return its size in bytes.

    :raises BundlingError: naming what fails.
    """
    if not (folder / "handler.py").is_file():
        raise BundlingError("There is no handler.py at the root.")
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if size > LIMIT:
        raise BundlingError(f"{size / 2**20:.0f} MiB unpacked; the limit is {LIMIT / 2**20:.0f} MiB.")
    for path in files:
        if path.name.endswith(".so") or ".so." in path.name:
            check_portable(path)
    return size
