"""The image of a container that has a network namespace and does nothing: a program of a hundred bytes.

A namespace of the engine's own making has to be held by a container that runs. What is in a user's image is
not known, no image of anybody's may be fetched, and so the program is made here: an ELF executable (System V
ABI, figures 4-3 and 5-1) whose only instruction of substance waits for a signal.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from typing import Final

from lab.emu.containers.engine import Engine, told
from lab.errors import HostNotReady

PROGRAM: Final = "/hold"

_LOADED_AT: Final = 0x40_0000
_HEADERS: Final = 64 + 56
# By the engine's name of an architecture: ELF's number of it, and the code. ppoll(NULL, 0, NULL, NULL) waits
# for ever; a signal ends it, and the loop begins anew.
_CODE: Final = {
    # xor edi,edi; xor esi,esi; xor edx,edx; xor r10d,r10d; mov eax,271; syscall; jmp back
    "amd64": (62, bytes.fromhex("31ff 31f6 31d2 4531d2 b80f010000 0f05 ebee".replace(" ", ""))),
    # movz x0..x3,#0; movz x8,#73; svc #0; b back
    "arm64": (
        183,
        struct.pack("<7I", *(0xD2800000 | n for n in range(4)), 0xD2800928, 0xD4000001, 0x17FFFFFA),
    ),
}


def holder_program(architecture: str) -> bytes:
    """Return the executable.

    Raises:
        HostNotReady: no code was written for that architecture.
    """
    if architecture not in _CODE:
        raise HostNotReady(
            f"containers as hosts are known on {' and '.join(_CODE)}, and this is {architecture}"
        )
    machine, code = _CODE[architecture]
    size = _HEADERS + len(code)
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, little-endian, version 1
    header = identity + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, _LOADED_AT + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _LOADED_AT, _LOADED_AT, size, size, 0x1000)  # read, execute
    return header + segment + code


def holder_image(engine: Engine) -> str:
    """Return the name of the image in an engine, where it is made if it is not there."""
    with told("the image of namespace holders"):
        architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(
            *[engine.client.info()["Architecture"]] * 2
        )
        program = holder_program(str(architecture))
        tag = hashlib.sha256(program).hexdigest()[:12]
        name = f"callpath/holder:{tag}"
        if not engine.client.images(name=name):
            engine.client.import_image_from_data(_archive(program), repository="callpath/holder", tag=tag)
    return name


def _archive(program: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(PROGRAM.lstrip("/"))
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
    return packed.getvalue()
