"""The inside of the sandbox: a script that locks its own process in, then runs a program and its tests.

`sandbox.py` starts it as `python -s -S -P -B jail.py FD`; it imports nothing of llmkit. FD is one end of a socket pair.
In order, what passes over it:

    parent -> jail   8 bytes of length, a job as JSON, 32 bytes of nonce
    jail -> parent   a line with the layers that could not be put up, sent before the program starts
    jail -> parent   the nonce if all tests held, else what went wrong (`KIND: message`)

The nonce stays unread in the kernel until the last test has held: a program that ends early has nothing to show.

The layers, after resource limits and no_new_privs, which always hold:

    namespaces   user, network, IPC and UTS namespaces of its own: no network device but a loopback that is down
    landlock     files: the Python library may be read, nothing else opened or changed; no TCP, no signals to others
    seccomp      system calls: a list of about 50 that a computing program needs; all others fail with EPERM

The seccomp list has no socket, clone, fork, execve, kill, ptrace, mount, prctl or ioctl, and openat only to read.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["NONCE_BYTES", "filter_program", "main"]

NONCE_BYTES = 32
LENGTH = struct.Struct("<Q")
MESSAGE_CHARACTERS = 2000

# prctl, unshare
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x04000000, 0x08000000, 0x10000000, 0x40000000

# Landlock: numbers of its calls are the same on all machines. Rights are bits: of later ABIs there are more.
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_VERSION, LANDLOCK_PATH_BENEATH = 1, 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # ABI -> how many kinds of access to files it knows
NO_TCP, NO_ABSTRACT_SOCKETS_NOR_SIGNALS = 0b11, 0b11
SHARED_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
HARMLESS = ("/dev/null", "/dev/urandom", "/usr/share/zoneinfo")

# seccomp: `linux/audit.h`, `linux/seccomp.h`, `linux/filter.h`
AUDIT_ARCH_X86_64 = 0xC000003E
KILL, EPERM, ALLOW = 0x80000000, 0x00050001, 0x7FFF0000
LOAD, JUMP_EQUAL, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
AT_NUMBER, AT_ARCH, AT_THIRD_ARGUMENT = 0, 4, 32  # in struct seccomp_data; of the argument its low half
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
X86_64_OPENAT = 257
X86_64_CALLS = {
    "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9,
    "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "pread64": 17, "readv": 19, "writev": 20, "access": 21, "select": 23, "sched_yield": 24, "mremap": 25,
    "madvise": 28, "dup": 32, "nanosleep": 35, "getpid": 39, "exit": 60, "uname": 63, "getcwd": 79,
    "readlink": 89, "gettimeofday": 96, "getrusage": 98, "sysinfo": 99, "times": 100, "getuid": 102,
    "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "sigaltstack": 131, "gettid": 186,
    "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217, "restart_syscall": 219,
    "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "newfstatat": 262,
    "readlinkat": 267, "faccessat": 269, "pselect6": 270, "ppoll": 271, "getrandom": 318, "statx": 332,
}  # fmt: skip

libc = ctypes.CDLL(None, use_errno=True)


def main(descriptor: int) -> None:
    """Lock in, say which layers are missing, run; the process ends here."""
    (length,) = LENGTH.unpack(_read(descriptor, LENGTH.size))
    job = json.loads(_read(descriptor, length))
    missing = lock_in(job["seconds"], job["memory_bytes"], job["layers"])
    os.write(descriptor, " ".join(missing).encode() + b"\n")
    if not set(missing) & set(job["required"]):
        run(job["code"], job["tests"], descriptor)
    os._exit(1)


def run(code: str, tests: str, descriptor: int) -> None:
    """Both are compiled on their own, so that no open quote or early return of the program swallows the tests.

    Whatever is needed after the program has run is bound before: it may replace `exec`, `os.write` or `len`, for
    itself but not for us, nor for the tests, which see the builtins as they were.
    """
    execute, read, write, leave, settrace, say = exec, os.read, os.write, os._exit, sys.settrace, _said
    builtins = dict(vars(sys.modules["builtins"]))
    sys.modules["candidate"] = module = types.ModuleType("candidate")
    lines = tests.splitlines()
    try:
        checks = compile(tests, "<tests>", "exec")
        execute(compile(code, "<program>", "exec"), module.__dict__)
        settrace(None)
        module.__dict__["__builtins__"] = builtins  # of what is run in it from now on; functions keep theirs
        execute(checks, module.__dict__)
        write(descriptor, read(descriptor, NONCE_BYTES))
        leave(0)
    except MemoryError:
        write(descriptor, b"MemoryError: ")  # a constant: there may be no room for more
    except BaseException as error:
        write(descriptor, say(error, lines))
    leave(1)


def _said(error: BaseException, lines: list[str]) -> bytes:
    """`KIND: message`, and the line of the tests that was reached. PermissionError of any kind is one word for all."""
    kind = "PermissionError" if isinstance(error, PermissionError) else type(error).__name__
    step = error.__traceback__
    while step and step.tb_frame.f_code.co_filename != "<tests>":
        step = step.tb_next
    place = f" at: {lines[step.tb_lineno - 1].strip()}" if step and step.tb_lineno <= len(lines) else ""
    return f"{kind}: {error}{place}"[:MESSAGE_CHARACTERS].encode("utf-8", "replace")


def lock_in(seconds: int, memory_bytes: int, layers: list[str]) -> list[str]:
    """Give up what the process may do, for good; the layers that this machine can't put up.

    seccomp must come last: it refuses the calls that the others are made of.
    """
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _limit(seconds, memory_bytes)
    _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return [name for name in layers if not _put_up(name)]


def _put_up(name: str) -> bool:
    builders: dict[str, Callable[[], None]] = {
        "namespaces": _namespaces,
        "landlock": _landlock,
        "seccomp": _seccomp,
    }
    try:
        builders[name]()
    except OSError:
        return False
    return True


def _limit(seconds: int, memory_bytes: int) -> None:
    """Processor seconds, address space, and no bytes in files, no processes, no core files."""
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,  # does not bind root: seccomp does
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    resource.setrlimit(
        resource.RLIMIT_CPU, (seconds, seconds + 1)
    )  # SIGXCPU tells why; SIGKILL if it is caught
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))


def _namespaces() -> None:
    _checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS))


def _landlock() -> None:
    """Files, TCP, abstract sockets and signals, as far as the kernel's ABI goes (files: Linux 5.13, TCP: 6.7)."""
    abi = _checked(libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), LANDLOCK_VERSION))
    files = (1 << FILE_RIGHTS.get(abi, 16)) - 1
    handled = [
        files,
        *([NO_TCP] if abi >= 4 else []),
        *([NO_ABSTRACT_SOCKETS_NOR_SIGNALS] if abi >= 6 else []),
    ]
    attributes = struct.pack(f"={len(handled)}Q", *handled)
    rules = _checked(libc.syscall(LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0))
    for path in (*sys.path, *SHARED_LIBRARIES, *HARMLESS):  # sys.path: the standard library and no more
        _allow_reading(rules, path)
    _checked(libc.syscall(LANDLOCK_RESTRICT, rules, 0))
    os.close(rules)


def _allow_reading(rules: int, path: str) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    rights = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE  # noqa: PTH112
    rule = struct.pack("=Qi", rights, opened)
    _checked(libc.syscall(LANDLOCK_ADD, rules, LANDLOCK_PATH_BENEATH, rule, 0))
    os.close(opened)


def _seccomp() -> None:
    if os.uname().machine != "x86_64":
        raise OSError("the list of system calls is that of x86_64")
    instructions = b"".join(struct.pack("=HBBI", *line) for line in filter_program())
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    filter_ = struct.pack("HxxxxxxP", len(instructions) // 8, ctypes.addressof(buffer))
    _checked(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0))


def filter_program() -> Iterator[tuple[int, int, int, int]]:
    """The BPF instructions (code, jump if true, jump if false, operand).

    Calls of another ABI (32 bits) end the process; those of x32 have a number of their own that is not in the list.
    """
    yield (LOAD, 0, 0, AT_ARCH)
    yield (JUMP_EQUAL, 1, 0, AUDIT_ARCH_X86_64)
    yield (RETURN, 0, 0, KILL)
    yield (LOAD, 0, 0, AT_NUMBER)
    for number in X86_64_CALLS.values():
        yield (JUMP_EQUAL, 0, 1, number)
        yield (RETURN, 0, 0, ALLOW)
    yield (JUMP_EQUAL, 0, 3, X86_64_OPENAT)
    yield (LOAD, 0, 0, AT_THIRD_ARGUMENT)
    yield (JUMP_ANY_BIT, 1, 0, WRITING)
    yield (RETURN, 0, 0, ALLOW)
    yield (RETURN, 0, 0, EPERM)


def _checked(result: Any) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "a layer of the sandbox can not be put up")
    return int(result)


def _read(descriptor: int, count: int) -> bytes:
    """Exactly so many bytes: what follows stays in the kernel."""
    read = bytearray()
    while len(read) < count:
        piece = os.read(descriptor, count - len(read))
        if not piece:
            os._exit(1)  # nobody is there
        read += piece
    return bytes(read)


if __name__ == "__main__":
    main(int(sys.argv[1]))
