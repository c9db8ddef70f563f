"""Archives that lead astray: out of their folder, into a bomb, past the inspection."""

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib

import numpy as np

from anfl.inspection.codes import Code
from tests.unit.inspection.corpus.case import Case, case
from tests.unit.inspection.corpus.pickles import CALL, SYSTEM, reduced

_ATTACK = reduced(os.system, "true")
_LARGE = 12 * 1024**2


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return target.getvalue()


def tarred(*members: tarfile.TarInfo | tuple[str, bytes], mode: str = "w") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return target.getvalue()


def torch_like(*members: tuple[str, bytes]) -> bytes:
    return zipped(("archive/data.pkl", b"\x80\x02}."), ("archive/version", b"3\n"), *members)


def _linked(kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo("model.npy")
    info.type, info.linkname = kind, target
    return info


def _symlink() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("model.npy")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


def _patched(content: bytes, old: bytes, new: bytes, *, last: bool = False) -> bytes:
    """``content`` with the first or last ``old`` replaced by as many bytes."""
    at = content.rfind(old) if last else content.find(old)
    assert at >= 0
    return content[:at] + new + content[at + len(old) :]


def _expanding(size: int) -> bytes:
    """``size`` zeros, deflated."""
    compressor = zlib.compressobj(9, wbits=31)
    piece = compressor.compress(bytes(1 << 20))
    for _ in range(size // (1 << 20) - 1):
        piece += compressor.compress(bytes(1 << 20))
    return piece + compressor.flush()


def _zip_bomb() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros.npy", "w") as member:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (_LARGE,)})
        member.write(header.getvalue())
        for _ in range(_LARGE // (1 << 20)):
            member.write(bytes(1 << 20))
    return target.getvalue()


def _overlapping() -> bytes:
    """Two names in the directory, one stretch of data: the trick of the zip bombs that need no recursion."""
    content = zipped(("a.txt", b"x" * 64), ("b.txt", b"y" * 64))
    directory = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", directory + 4)
    return content[: second + 42] + struct.pack("<I", 0) + content[second + 46 :]


def _hidden_member() -> bytes:
    """A member that stands between two others, and not in the directory."""
    content = zipped(("a.txt", b"a"), ("evil.pkl", _ATTACK), ("z.txt", b"z"))
    start = content.index(b"PK\x01\x02")
    first = content.index(b"PK\x01\x02", start + 4)
    second = content.index(b"PK\x01\x02", first + 4)
    shortened = content[:first] + content[second:]
    end = shortened.rindex(b"PK\x05\x06")
    size = struct.unpack("<I", shortened[end + 12 : end + 16])[0] - (second - first)
    return shortened[: end + 8] + struct.pack("<HHI", 2, 2, size) + shortened[end + 16 :]


def _folder_with_content() -> bytes:
    """A folder in the directory, by whose header something follows."""
    content = zipped(("x_", _ATTACK)).replace(b"x_", b"x/")
    content = content[:22] + bytes(4) + content[26:]
    size = content.index(b"PK\x01\x02") + 24
    return content[:size] + bytes(4) + content[size + 4 :]


def _longer(compression: int) -> bytes:
    """A member whose content goes on where both its sizes and its checksum say that it has ended."""
    content = bytearray(zipped(("data.txt", b"hello" + _ATTACK), compression=compression))
    directory = content.index(b"PK\x01\x02")
    for checksum, size in ((14, 22), (directory + 16, directory + 24)):
        content[checksum : checksum + 4] = struct.pack("<I", zlib.crc32(b"hello"))
        content[size : size + 4] = struct.pack("<I", 5)
    return bytes(content)


def _shorter() -> bytes:
    content = bytearray(zipped(("data.txt", b"hello"), compression=zipfile.ZIP_DEFLATED))
    for size in (22, content.index(b"PK\x01\x02") + 24):
        content[size : size + 4] = struct.pack("<I", 99)
    return bytes(content)


def _other_header(at: int, value: bytes) -> bytes:
    """A member whose own header says something else than the directory."""
    content = zipped(("data.txt", b"hello there"))
    return content[:at] + value + content[at + len(value) :]


def _other_large_header() -> bytes:
    """The same, where it has its sizes behind its name."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive, archive.open("data.txt", "w", force_zip64=True) as member:
        member.write(b"hello there")
    return _patched(target.getvalue(), struct.pack("<Q", 11), struct.pack("<Q", 5))


def _nested(levels: int) -> bytes:
    content = zipped(("model.pkl", _ATTACK))
    for level in range(levels):
        content = zipped((f"level{level}.zip", content))
    return content


def _many_members() -> bytes:
    return zipped(*((f"{number}.txt", b"") for number in range(1001)))


def _sparse() -> bytes:
    info = tarfile.TarInfo("model.npy")
    info.type = tarfile.GNUTYPE_SPARSE
    content = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    content[386:410] = b"%011o\0%011o\0" % (1 << 32, 0)  # one empty piece
    content[483:495] = b"%011o\0" % (1 << 32)  # the size that it pretends to have
    content[148:156] = b"        "
    content[148:156] = b"%06o\0 " % sum(content[:512])
    return bytes(content) + bytes(1024)


def _huge_dictionary() -> bytes:
    """A few bytes for which a decompressor makes room for 2 GiB."""
    content = lzma.compress(b"x", format=lzma.FORMAT_ALONE)
    return content[:1] + struct.pack("<I", 1 << 31) + content[5:]


def _pickle_and_tar() -> bytes:
    """A pickle that is the name in a tar's first header, which describes the second one and is shown by nobody."""
    header = tarfile.TarInfo("cos\nsystem\n(S'true'\ntR.")
    records = b"16 comment=none\n"
    header.type, header.size = tarfile.XHDTYPE, len(records)
    return header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + tarred(("a.txt", b"x"))


def _with_two_names() -> bytes:
    """Members whose extra field has another name than their header: the library goes by one, torch by the other."""
    members: list[tuple[str | zipfile.ZipInfo, bytes]] = [("archive/version", b"3\n")]
    for name, other, content in (
        ("archive/data.pkl", b"archive/data/0", _ATTACK),
        ("archive/byteorder", b"archive/data.pkl", b"\x80\x02}."),
    ):
        info = zipfile.ZipInfo(name)
        info.extra = struct.pack("<HHBL", 0x7075, 5 + len(other), 1, zlib.crc32(name.encode())) + other
        members.append((info, content))
    return zipped(*members)


def _with_two_directories() -> bytes:
    """The end record tells a place in the comment, where torch looks; the library looks before the end record."""
    content = torch_like(("archive/data/0", zipped(("archive/data.pkl", _ATTACK))))
    end = content.rindex(b"PK\x05\x06")
    directory = content.rindex(b"PK\x01\x02", 0, content.rindex(b"archive/version"))
    directory = content.rindex(b"PK\x01\x02", 0, directory)
    moved = bytearray(content)
    at = directory
    for _ in range(3):
        moved[at + 42 : at + 46] = struct.pack("<I", struct.unpack_from("<I", moved, at + 42)[0] + end + 22 - directory)
        at = moved.index(b"PK", at + 4)
    moved[end + 16 : end + 22] = struct.pack("<IH", end + 22, end - directory)
    return bytes(moved) + content[directory:end]


def _with_two_ends(place: int) -> bytes:
    """``place`` is where its larger end record is to be found, which torch believes and the library does not ask."""
    end = _STORED.index(b"PK\x05\x06")
    size, directory = struct.unpack_from("<II", _STORED, end + 12)
    larger = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, directory)
    return _STORED[:end] + larger + struct.pack("<4sIQI", b"PK\x06\x07", 0, place, 1) + _STORED[end:]


def _tar_within(before: bytes, content: bytes, after: bytes) -> bytes:
    """A tar whose first header begins as another format does. torch reads tars, and looks for them first."""
    header = tarfile.TarInfo(before.decode("utf-8", "surrogateescape"))
    return header.tobuf(tarfile.USTAR_FORMAT, errors="surrogateescape") + content + after


def _pickled_tar() -> bytes:
    content = tarred(("storages", _ATTACK))
    return _tar_within(b"\x80\x03B" + struct.pack("<I", 512 - 7 + len(content)), content, b".")


def _written_tar() -> bytes:
    """A tar of nothing but text, as the first ones were: no magic, blanks instead of zeros."""
    blocks = b""
    records = b"17 path=storages\n" + b"495 comment=".ljust(494) + b"\n"
    for kind, content in ((b"x", records), (b"0", SYSTEM + CALL)):
        header = b"x" * 100 + b" " * 24 + b"%011o " % len(content) + b" " * 12 + b" " * 8 + kind + b" " * 355
        header = header[:148] + b"%06o  " % sum(header) + header[156:]
        blocks += header + content.ljust(512)
    return blocks


_STORED_AS_TEXT = b"=@\xc2\xbf"
"""How many bytes follow as they are in a deflated stream: 16445."""


def _written_zlib() -> bytes:
    """A zlib stream of nothing but text, whose end joblib does not wait for: a text in a pickle, then the rest."""
    content = b"x^\n[\x0c@" + _STORED_AS_TEXT + (b"\n" + SYSTEM + CALL).ljust(16445)
    assert zlib.decompressobj().decompress(content).startswith(b"V\xa3\ncos\nsystem\n")
    return content


_STORED = zipped(("a.txt", b"some text to damage"))
_TAR = tarred(("a.txt", b"x" * 2000))

CASES: list[Case] = [
    case("attack.zip", zipped(("model.pkl", _ATTACK)), Code.DANGEROUS_GLOBAL),
    case("torch-attack.pt", zipped(("archive/data.pkl", _ATTACK)), Code.DANGEROUS_GLOBAL),
    case("torch-beside.pt", torch_like(("archive/other.pkl", _ATTACK)), Code.DANGEROUS_GLOBAL),
    case("torch-script.pt", torch_like(("archive/code/m.py", b"import os\n")), Code.CUSTOM_CODE),
    case("torch-two-roots.pt", torch_like(("other/data.pkl", b"\x80\x02X\x01\0\0\0aQ.")), Code.PERSISTENT_ID),
    case("torch-other-case.pt", torch_like(("archive/DATA.PKL", _ATTACK)), Code.DUPLICATE_MEMBER),
    case("torch-hidden-in-data.pt", torch_like(("archive/data/evil.pkl", _ATTACK)), Code.DANGEROUS_GLOBAL),
    case("weights.7z", b"7z\xbc\xaf\x27\x1c\0\4" + _ATTACK, Code.UNSUPPORTED_FORMAT),
    case("pytorch_model.bin.7z.bin", b"7z\xbc\xaf\x27\x1c\0\4", Code.UNSUPPORTED_FORMAT),
    case("old.h5", b"\x89HDF\r\n\x1a\n" + bytes(64), Code.UNSUPPORTED_FORMAT),
    case("nested.zip", _nested(1), Code.DANGEROUS_GLOBAL),
    case("too-deep.zip", _nested(4), Code.TOO_DEEP),
    case("attack.tar.gz", tarred(("model.pkl", _ATTACK), mode="w:gz"), Code.DANGEROUS_GLOBAL),
    case("attack.gz", gzip.compress(_ATTACK), Code.DANGEROUS_GLOBAL),
    case("attack-protocol0.bz2", bz2.compress(SYSTEM + CALL), Code.DANGEROUS_GLOBAL),
    case("attack.xz", lzma.compress(_ATTACK), Code.DANGEROUS_GLOBAL),
    case("attack-zlib.joblib", zlib.compress(_ATTACK), Code.DANGEROUS_GLOBAL),
    # Out of the folder
    *(
        case(f"escape-{number}.zip", zipped((name, b"x")), Code.PATH_ESCAPE)
        for number, name in enumerate(("../x", "a/../../x", "/etc/x", "C:/x", "..\\x", "\\\\host\\x"))
    ),
    case("escape.tar", tarred(("../../etc/cron.d/x", b"x")), Code.PATH_ESCAPE),
    case("absolute.tar", tarred(("/etc/x", b"x")), Code.PATH_ESCAPE),
    case("symlink.tar", tarred(_linked(tarfile.SYMTYPE, "/etc/passwd")), Code.LINK),
    case("hardlink.tar", tarred(_linked(tarfile.LNKTYPE, "/etc/passwd")), Code.LINK),
    case("device.tar", tarred(_linked(tarfile.CHRTYPE, "")), Code.LINK),
    case("fifo.tar", tarred(_linked(tarfile.FIFOTYPE, "")), Code.LINK),
    case("symlink.zip", zipped((_symlink(), b"/etc/passwd")), Code.LINK),
    # Names
    case(
        "nul.zip",
        _patched(_patched(zipped(("modelX.txt", b"x")), b"modelX", b"model\0"), b"modelX", b"model\0"),
        Code.DECEPTIVE_NAME,
    ),
    case("rtl.zip", zipped(("model\u202etxt.pkl", b"N.")), Code.DECEPTIVE_NAME),
    case("zero-width.zip", zipped(("data\u200b.txt", b"x")), Code.DECEPTIVE_NAME),
    case("blank.zip", zipped(("a/ data.txt", b"x")), Code.DECEPTIVE_NAME),
    case("newline.tar", tarred(("cos\nsystem\n", b"x")), Code.DECEPTIVE_NAME, Code.POLYGLOT),
    case(
        "duplicate.zip",
        _patched(_patched(zipped(("a.txt", b"1"), ("b.txt", b"2")), b"b.txt", b"a.txt"), b"b.txt", b"a.txt"),
        Code.DUPLICATE_MEMBER,
    ),
    case("duplicate-full-width.zip", zipped(("a.txt", b"1"), ("\uff41.txt", b"2")), Code.DUPLICATE_MEMBER),
    *(
        case(f"duplicate-{number}.zip", zipped(("a/b.txt", b"1"), (name, b"2")), Code.DUPLICATE_MEMBER)
        for number, name in enumerate(("a/./b.txt", "./a/b.txt", "a//b.txt", "a\\b.txt", "A/B.txt"))
    ),
    case("duplicate-dot.tar", tarred(("a.txt", b"1"), ("./a.txt", b"2")), Code.DUPLICATE_MEMBER),
    case("duplicate.tar", tarred(("a.txt", b"1"), ("a.txt", b"2")), Code.DUPLICATE_MEMBER),
    # Bombs
    case("bomb.npz", _zip_bomb(), Code.ARCHIVE_BOMB),
    case("bomb.gz", _expanding(_LARGE), Code.ARCHIVE_BOMB),
    case("bomb-in-bomb.gz", gzip.compress(_expanding(_LARGE)), Code.ARCHIVE_BOMB),
    case("bomb-in-zip.zip", zipped(("bomb.gz", _expanding(_LARGE))), Code.ARCHIVE_BOMB),
    case("overlapping.zip", _overlapping(), Code.ARCHIVE_BOMB, Code.MALFORMED, Code.HIDDEN_DATA),
    case("dictionary.lzma", _huge_dictionary(), Code.MEMORY_LIMIT),
    case("many.zip", _many_members(), Code.ARCHIVE_BOMB),
    case("sparse.tar", _sparse(), Code.ARCHIVE_BOMB),
    # Readers that differ
    case("hidden-member.zip", _hidden_member(), Code.HIDDEN_DATA),
    case("folder-with-content.zip", _folder_with_content(), Code.HIDDEN_DATA),
    case("longer.zip", _longer(zipfile.ZIP_DEFLATED), Code.CHECKSUM_MISMATCH),
    case("longer-stored.zip", _longer(zipfile.ZIP_STORED), Code.CHECKSUM_MISMATCH),
    case("shorter.zip", _shorter(), Code.MALFORMED),
    *(
        case(f"other-header-{at}.zip", _other_header(at, value), Code.MALFORMED)
        for at, value in {6: b"\1\0", 8: b"\x08\0", 14: b"\0\0\0\0", 18: b"\5\0\0\0", 22: b"\5\0\0\0"}.items()
    ),
    case("other-large-header.zip", _other_large_header(), Code.MALFORMED),
    case("prefixed.zip", b"#!/bin/sh\n" + _STORED, Code.POLYGLOT),
    case("zip-and-pickle.pkl", b"\x80\x04N." + _STORED, Code.POLYGLOT, Code.TRAILING_DATA),
    case("tar-and-pickle.pkl", _pickle_and_tar(), Code.POLYGLOT),
    case("tar-and-pickle.joblib", gzip.compress(_pickle_and_tar()), Code.POLYGLOT),
    case("two-names.pt", _with_two_names(), Code.DECEPTIVE_NAME),
    case("two-directories.pt", _with_two_directories(), Code.POLYGLOT),
    case("two-ends.zip", _with_two_ends(0), Code.POLYGLOT),
    case("pickle-in-tar.pt", _pickled_tar(), Code.POLYGLOT),
    case("written-tar.bin", _written_tar(), Code.POLYGLOT, Code.DANGEROUS_GLOBAL, Code.UNSUPPORTED_FORMAT),
    case("torch.tar", tarred(("storages", b"\x80\x02N.")), Code.UNSUPPORTED_FORMAT),
    case("written-zlib.bin", _written_zlib(), Code.POLYGLOT),
    case("written-zlib.zip", zipped(("model.z", _written_zlib())), Code.POLYGLOT),
    case("written-zfile", b"ZF0x4000              x^ " + _STORED_AS_TEXT + SYSTEM + CALL, Code.UNSUPPORTED_FORMAT),
    case("trailing.zip", _STORED + b"trailing", Code.TRAILING_DATA),
    case("trailing.tar", _TAR + b"trailing", Code.TRAILING_DATA),
    case("trailing.bz2", bz2.compress(b"x") + b"trailing", Code.TRAILING_DATA),
    case("trailing.xz", lzma.compress(b"x") + b"trailing", Code.TRAILING_DATA),
    case("trailing.joblib", zlib.compress(b"\x80\x04N.") + b"trailing", Code.TRAILING_DATA),
    case(
        "encrypted.zip",
        _patched(_patched(_STORED, b"\x14\0\0\0\0\0", b"\x14\0\1\0\0\0"), b"\x14\0\0\0\0\0", b"\x14\0\1\0\0\0"),
        Code.ENCRYPTED,
    ),
    # Damage
    case("damaged.zip", _patched(_STORED, b"damage", b"DAMAGE"), Code.CHECKSUM_MISMATCH),
    case("damaged.gz", gzip.compress(b"x" * 99)[:-8] + bytes(8), Code.CHECKSUM_MISMATCH),
    case("negative.zip", _STORED[:-6] + struct.pack("<I", 60) + _STORED[-2:], Code.MALFORMED),
    case("cut.zip", _STORED[:-30], Code.MALFORMED),
    case("cut.gz", gzip.compress(os.urandom(999))[:-100], Code.TRUNCATED),
    case("cut.bz2", bz2.compress(os.urandom(999))[:-100], Code.TRUNCATED),
    case("cut.tar", _TAR[:1500], Code.TRUNCATED),
    case("text.npz", b"no archive at all\xff", Code.MALFORMED),
]
