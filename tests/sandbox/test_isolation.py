"""The system call filter, evaluated by a small BPF interpreter. test_runner.py tests the sandbox with real programs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from llmkit.sandbox import isolation
from llmkit.sandbox.isolation import (
    ALLOW,
    AUDIT_ARCH_X86_64,
    EPERM,
    KILL,
    X86_64_CALLS,
    X86_64_OPENAT,
    build_filter,
)

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


def evaluate_filter(number: int, third_argument: int = 0, arch: int = AUDIT_ARCH_X86_64) -> int:
    """Return what the kernel would do with this system call."""
    data = {0: number, 4: arch, 32: third_argument}
    lines, position, loaded = list(build_filter()), 0, 0
    while True:
        code, if_true, if_false, operand = lines[position]
        if code == isolation.RETURN:
            return operand
        if code == isolation.LOAD:
            loaded = data[operand]
        else:
            true = loaded == operand if code == isolation.JUMP_EQUAL else bool(loaded & operand)
            position += if_true if true else if_false
        position += 1


def test_only_listed_system_calls_are_allowed() -> None:
    allowed = {number for number in range(600) if evaluate_filter(number) == ALLOW}
    assert allowed == {*X86_64_CALLS.values(), X86_64_OPENAT}
    assert evaluate_filter(0x40000000) == EPERM  # read, in the numbering of x32
    assert evaluate_filter(0xFFFFFFFF) == EPERM


def test_system_call_of_another_abi_kills_the_process() -> None:
    assert evaluate_filter(0, arch=0x40000003) == KILL  # 32 bits, through int 0x80


@pytest.mark.parametrize(
    "flags", [os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_RDWR | os.O_CREAT | os.O_EXCL]
)
def test_files_can_be_opened_for_reading_only(flags: int) -> None:
    assert evaluate_filter(X86_64_OPENAT, flags) == EPERM
    assert evaluate_filter(X86_64_OPENAT, flags | os.O_CLOEXEC) == EPERM
    assert evaluate_filter(X86_64_OPENAT, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY) == ALLOW


DANGEROUS = """
socket connect bind sendto sendmsg clone clone3 fork vfork execve execveat kill tkill tgkill ptrace mount prctl
seccomp unshare setns ioctl fcntl unlink rename mkdir chmod chown link symlink truncate open openat2 io_uring_setup
bpf keyctl prlimit64 setrlimit memfd_create process_vm_writev pidfd_open setsid setpgid
"""


def test_no_dangerous_system_call_is_allowed() -> None:
    assert not set(DANGEROUS.split()) & set(X86_64_CALLS)


def test_system_call_numbers_match_the_kernel_header() -> None:
    if not HEADER.exists():
        pytest.skip(f"{HEADER} is not installed")
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text()))
    listed = {**X86_64_CALLS, "openat": X86_64_OPENAT}
    assert {name: int(numbers[name]) for name in listed} == listed
