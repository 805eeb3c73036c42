"""The calls that the kernel refuses to programs in a room, as a seccomp filter. Light.

Refused is what leads to more privileges or reaches outside a room: namespaces, mounts, keys, other processes' memory,
the kernel's programmable parts, memory that no process has mapped, and sockets other than of the internet and of files.
The filter is classic BPF over `struct seccomp_data` (kernel.org, Documentation/userspace-api/seccomp_filter.rst).
"""

import errno
import platform
import socket
import struct
from collections.abc import Sequence

LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, whose arguments have 8 bytes
NAMESPACES = 0x7E020000  # the CLONE_NEW* flags
FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)

# By machine: the number of the architecture, then of each call. x86_64's are its own; aarch64 has the generic ones.
MACHINES = {
    "x86_64": (0xC000003E, {"socket": 41, "clone": 56, "clone3": 435}),
    "aarch64": (0xC00000B7, {"socket": 198, "clone": 220, "clone3": 435}),
}
REFUSED: dict[str, dict[str, int]] = {
    "x86_64": {
        "shmget": 29,
        "ptrace": 101,
        "pivot_root": 155,
        "chroot": 161,
        "acct": 163,
        "mount": 165,
        "umount2": 166,
        "swapon": 167,
        "reboot": 169,
        "init_module": 175,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "unshare": 272,
        "perf_event_open": 298,
        "name_to_handle_at": 303,
        "open_by_handle_at": 304,
        "setns": 308,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "kcmp": 312,
        "finit_module": 313,
        "memfd_create": 319,
        "kexec_file_load": 320,
        "bpf": 321,
        "userfaultfd": 323,
    },
    "aarch64": {
        "mount": 40,
        "umount2": 39,
        "pivot_root": 41,
        "chroot": 51,
        "acct": 89,
        "unshare": 97,
        "init_module": 105,
        "ptrace": 117,
        "reboot": 142,
        "shmget": 194,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "swapon": 224,
        "perf_event_open": 241,
        "name_to_handle_at": 264,
        "open_by_handle_at": 265,
        "setns": 268,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "kcmp": 272,
        "finit_module": 273,
        "memfd_create": 279,
        "bpf": 280,
        "userfaultfd": 282,
        "kexec_file_load": 294,
    },
}
# New calls have one number everywhere: io_uring_*, pidfd_getfd, open_tree to fspick, mount_setattr, memfd_secret.
REFUSED_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447)


def room_filter(machine: str = "") -> bytes:
    """The filter for this machine. Errors: KeyError where its call numbers are not known."""
    machine = machine or platform.machine()
    architecture, numbers = MACHINES[machine]
    refused = sorted([*REFUSED[machine].values(), *REFUSED_EVERYWHERE])
    refuse, missing = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS
    lines = [
        _line(LOAD, ARCHITECTURE),
        _line(JUMP_EQUAL, architecture, 1, 0),
        _line(RETURN, KILL),
        _line(LOAD, NUMBER),
    ]
    if machine == "x86_64":  # the x32 calls, which count from here, have other numbers
        lines += _unless(JUMP_GREATER_EQUAL, 0x40000000, refuse)
    # Its flags lie in memory, where no filter can read them; without it the C library uses clone.
    lines += _unless(JUMP_EQUAL, numbers["clone3"], missing)
    for number in refused:
        lines += _unless(JUMP_EQUAL, number, refuse)
    by_flags = [_line(LOAD, FIRST_ARGUMENT), *_unless(JUMP_SET, NAMESPACES, refuse), _line(RETURN, ALLOW)]
    lines += [_line(JUMP_EQUAL, numbers["clone"], 0, len(by_flags)), *by_flags]
    families = [_line(JUMP_EQUAL, family, len(FAMILIES) - place, 0) for place, family in enumerate(FAMILIES)]
    by_family = [_line(LOAD, FIRST_ARGUMENT), *families, _line(RETURN, refuse), _line(RETURN, ALLOW)]
    lines += [_line(JUMP_EQUAL, numbers["socket"], 0, len(by_family)), *by_family]
    return b"".join([*lines, _line(RETURN, ALLOW)])


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; the jumps count the instructions that they skip."""
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _unless(test: int, value: int, result: int) -> Sequence[bytes]:
    return (_line(test, value, 0, 1), _line(RETURN, result))
