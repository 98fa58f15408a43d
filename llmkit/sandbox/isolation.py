"""The script that runs inside the sandbox: it isolates its own process, then runs a program and its tests.

`runner.py` starts it as `python -s -S -P -B isolation.py FD`. It imports nothing from llmkit. FD is one end of a socket
pair, over which these messages pass, in this order:

    runner -> script   8 bytes of length, a job as JSON, 32 bytes of nonce
    script -> runner   one line with the layers that could not be applied, before the program starts
    script -> runner   the nonce if all tests passed, else the error as `TYPE: message`

The script reads the nonce from the kernel only after the last test has passed, so a program that exits early can't send
it.

Resource limits and no_new_privs always apply. The layers are:

    namespaces   own user, network, IPC and UTS namespaces: the only network device is a loopback that is down
    landlock     files: only the Python library can be read, nothing can be changed; no TCP, no signals to others
    seccomp      system calls: about 50 that a computation needs; all others fail with EPERM

The system calls that seccomp allows include no socket, clone, fork, execve, kill, ptrace, mount, prctl or ioctl, and
openat only for reading.
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
from collections.abc import Iterator
from typing import Any

__all__ = ["LENGTH", "NONCE_BYTES", "build_filter", "main"]

NONCE_BYTES = 32
LENGTH = struct.Struct("<Q")
MESSAGE_CHARACTERS = 2000  # longer error messages are truncated

# prctl, unshare
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x04000000, 0x08000000, 0x10000000, 0x40000000

# Landlock: its system call numbers are the same on all machines. Rights are bits; later ABIs define more of them.
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_VERSION, LANDLOCK_PATH_BENEATH = 1, 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # ABI version -> number of file rights it defines
NO_TCP, NO_ABSTRACT_SOCKETS_NOR_SIGNALS = 0b11, 0b11
SHARED_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
HARMLESS_FILES = ("/dev/null", "/dev/urandom", "/usr/share/zoneinfo")

# seccomp, from linux/audit.h, linux/seccomp.h and linux/filter.h
AUDIT_ARCH_X86_64 = 0xC000003E
KILL, EPERM, ALLOW = 0x80000000, 0x00050001, 0x7FFF0000
LOAD, JUMP_EQUAL, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
AT_NUMBER, AT_ARCH, AT_THIRD_ARGUMENT = 0, 4, 32  # offsets in struct seccomp_data; the argument's low 4 bytes
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
    """Read the job, isolate this process, report the missing layers, and run the program. Does not return."""
    (length,) = LENGTH.unpack(_read(descriptor, LENGTH.size))
    job = json.loads(_read(descriptor, length))
    missing = isolate_process(job["seconds"], job["memory_bytes"], job["layers"])
    os.write(descriptor, " ".join(missing).encode() + b"\n")
    if not set(missing) & set(job["required"]):
        run_program(job["code"], job["tests"], descriptor)
    os._exit(1)


def run_program(code: str, tests: str, descriptor: int) -> None:
    """Run a program and its tests, and write the nonce or the error to the descriptor. Does not return.

    Program and tests are compiled separately, so that an open quote or an early return in the program can't disable the
    tests. Everything needed after the program is bound to local names before it runs: the program may replace `exec`,
    `os.write` or `len`, but not for this function, nor for the tests, which get the original builtins.
    """
    execute, read, write, leave, settrace = exec, os.read, os.write, os._exit, sys.settrace
    format_exception = _format_exception
    builtins = dict(vars(sys.modules["builtins"]))
    sys.modules["candidate"] = module = types.ModuleType("candidate")
    lines = tests.splitlines()
    try:
        checks = compile(tests, "<tests>", "exec")
        execute(compile(code, "<program>", "exec"), module.__dict__)
        settrace(None)
        module.__dict__["__builtins__"] = builtins  # for the tests; the program's functions keep its own
        execute(checks, module.__dict__)
        write(descriptor, read(descriptor, NONCE_BYTES))
        leave(0)
    except MemoryError:
        write(descriptor, b"MemoryError: ")  # a constant, because there may be no memory for a longer message
    except BaseException as error:
        write(descriptor, format_exception(error, lines))
    leave(1)


def _format_exception(error: BaseException, lines: list[str]) -> bytes:
    """Return `TYPE: message at: LINE`, where LINE is the line of the tests that was running.

    TYPE is `PermissionError` for its subclasses too.
    """
    kind = "PermissionError" if isinstance(error, PermissionError) else type(error).__name__
    step = error.__traceback__
    while step and step.tb_frame.f_code.co_filename != "<tests>":
        step = step.tb_next
    place = f" at: {lines[step.tb_lineno - 1].strip()}" if step and step.tb_lineno <= len(lines) else ""
    return f"{kind}: {error}{place}"[:MESSAGE_CHARACTERS].encode("utf-8", "replace")


def isolate_process(seconds: int, memory_bytes: int, layers: list[str]) -> list[str]:
    """Limit the resources of this process and apply the layers, permanently.

    Args:
        seconds: Limit of CPU time.
        memory_bytes: Limit of the address space.
        layers: Names of the layers to apply, in this order. seccomp must be last, because it forbids the system calls
            that the other layers need.

    Returns:
        The layers that this machine does not support.
    """
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # At the limit the kernel sends SIGXCPU, which shows the reason; if the program catches it, SIGKILL follows.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,  # has no effect for root; seccomp forbids new processes too
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    functions = {"namespaces": enter_namespaces, "landlock": apply_landlock, "seccomp": apply_seccomp}
    missing = []
    for name in layers:
        try:
            functions[name]()
        except OSError:
            missing.append(name)
    return missing


def enter_namespaces() -> None:
    """Move this process to new user, network, IPC and UTS namespaces. Raises OSError if that is not allowed."""
    _check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS))


def apply_landlock() -> None:
    """Forbid access to files, TCP, abstract sockets and signals, as far as the kernel's Landlock ABI supports it.

    Files need Linux 5.13, TCP needs 6.7. Raises OSError if the kernel has no Landlock.
    """
    abi = _check(libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), LANDLOCK_VERSION))
    handled = [
        (1 << FILE_RIGHTS.get(abi, 16)) - 1,
        *([NO_TCP] if abi >= 4 else []),
        *([NO_ABSTRACT_SOCKETS_NOR_SIGNALS] if abi >= 6 else []),
    ]
    attributes = struct.pack(f"={len(handled)}Q", *handled)
    ruleset = _check(libc.syscall(LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0))
    # With the options of runner.py, sys.path contains the standard library and nothing else.
    for path in (*sys.path, *SHARED_LIBRARIES, *HARMLESS_FILES):
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # this machine has no such path
        rights = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE  # noqa: PTH112
        rule = struct.pack("=Qi", rights, opened)
        _check(libc.syscall(LANDLOCK_ADD, ruleset, LANDLOCK_PATH_BENEATH, rule, 0))
        os.close(opened)
    _check(libc.syscall(LANDLOCK_RESTRICT, ruleset, 0))
    os.close(ruleset)


def apply_seccomp() -> None:
    """Install the system call filter. Raises OSError on a machine that is not x86_64 or has no seccomp."""
    if os.uname().machine != "x86_64":
        raise OSError("the system call numbers are those of x86_64")
    instructions = b"".join(struct.pack("=HBBI", *line) for line in build_filter())
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    filter_ = struct.pack("HxxxxxxP", len(instructions) // 8, ctypes.addressof(buffer))
    _check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0))


def build_filter() -> Iterator[tuple[int, int, int, int]]:
    """Yield the BPF instructions of the filter: (code, jump if true, jump if false, operand).

    A system call of another ABI (32 bits) kills the process. Those of x32 have other numbers, which are not allowed.
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


def _check(result: Any) -> int:
    """Return the result of a system call; raise OSError if it is negative."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "a layer of the sandbox can't be applied")
    return int(result)


def _read(descriptor: int, count: int) -> bytes:
    """Read exactly this many bytes, so that the nonce after them stays in the kernel."""
    content = bytearray()
    while len(content) < count:
        chunk = os.read(descriptor, count - len(content))
        if not chunk:
            os._exit(1)  # the runner has closed the connection
        content += chunk
    return bytes(content)


if __name__ == "__main__":
    main(int(sys.argv[1]))
