"""The filter of system calls, run by a small interpreter of its instructions; the rest is tested by real attempts
in test_sandbox.py."""

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
    filter_program,
)

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


def filtered(number: int, third_argument: int = 0, arch: int = AUDIT_ARCH_X86_64) -> int:
    """What the kernel would do with this call."""
    data = {0: number, 4: arch, 32: third_argument}
    lines, at, loaded = list(filter_program()), 0, 0
    while True:
        code, if_true, if_false, operand = lines[at]
        if code == isolation.RETURN:
            return operand
        if code == isolation.LOAD:
            loaded = data[operand]
        else:
            true = loaded == operand if code == isolation.JUMP_EQUAL else bool(loaded & operand)
            at += if_true if true else if_false
        at += 1


def test_only_listed_calls_are_allowed() -> None:
    allowed = {number for number in range(600) if filtered(number) == ALLOW}
    assert allowed == {*X86_64_CALLS.values(), X86_64_OPENAT}
    assert filtered(0x40000000) == EPERM  # read, by the numbers of x32
    assert filtered(0xFFFFFFFF) == EPERM


def test_another_machine_ends_the_process() -> None:
    assert filtered(0, arch=0x40000003) == KILL  # 32 bits, by int 0x80


@pytest.mark.parametrize(
    "flags", [os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_RDWR | os.O_CREAT | os.O_EXCL]
)
def test_files_are_opened_to_read_only(flags: int) -> None:
    assert filtered(X86_64_OPENAT, flags) == EPERM
    assert filtered(X86_64_OPENAT, flags | os.O_CLOEXEC) == EPERM
    assert filtered(X86_64_OPENAT, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY) == ALLOW


DANGEROUS = """
socket connect bind sendto sendmsg clone clone3 fork vfork execve execveat kill tkill tgkill ptrace mount prctl
seccomp unshare setns ioctl fcntl unlink rename mkdir chmod chown link symlink truncate open openat2 io_uring_setup
bpf keyctl prlimit64 setrlimit memfd_create process_vm_writev pidfd_open setsid setpgid
"""


def test_nothing_dangerous_stands_in_the_list() -> None:
    assert not set(DANGEROUS.split()) & set(X86_64_CALLS)


def test_the_numbers_are_the_kernels() -> None:
    if not HEADER.exists():
        pytest.skip(f"{HEADER} is not installed")
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text()))
    ours = {**X86_64_CALLS, "openat": X86_64_OPENAT}
    assert {name: int(numbers[name]) for name in ours} == ours
