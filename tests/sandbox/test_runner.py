"""Running generated programs: verdicts, limits, and attempts to leave the sandbox, with real processes."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmkit.base.errors import UserError
from llmkit.sandbox import isolation, runner
from llmkit.sandbox.runner import Limits, Outcome, Program, run_program, run_programs

ROOT = Path(__file__).parents[2]
SHORT = Limits(seconds=1, memory_bytes=128 << 20)
CORRECT, TEST = "def double(x): return 2 * x\n", "assert double(2) == 4\n"


def _find_reason_to_skip(layers: tuple[str, ...]) -> str:
    """Return why these layers can't be tested on this machine, or ""."""
    try:
        run_program(Program("", ""), layers=layers, required=layers)
    except UserError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module", autouse=True)
def _skip_without_sandbox() -> None:
    if reason := _find_reason_to_skip(runner.REQUIRED):
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _check_that_no_process_is_left() -> Iterator[None]:
    """Check after every test that all its sandbox processes have ended and were waited for."""
    before = _find_own_processes()
    yield
    assert _find_own_processes() <= before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def _find_own_processes() -> set[int]:
    """Return the sandbox processes of this process, and those without a parent. Other test runs may have their own."""
    return {pid for pid in _find_processes() if _get_parent(pid) in (os.getpid(), 1)}


def _get_parent(pid: int) -> int:
    """Return the parent of a process; 0 if the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _find_processes() -> set[int]:
    pids = set()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and str(runner.SCRIPT).encode() in (folder / "cmdline").read_bytes():
                pids.add(int(folder.name))
        except OSError:
            continue  # it has ended
    return pids


def run_with_prefix(code: str, limits: Limits = SHORT, tests: str = TEST) -> Outcome:
    """Run the correct solution with this code before it."""
    return run_program(Program(code + "\n" + CORRECT, tests), limits)


# Verdicts


def test_correct_program_passes_and_wrong_program_fails_with_the_line_of_the_test() -> None:
    assert run_program(Program(CORRECT, TEST)) == Outcome("passed", "")
    outcome = run_program(Program("def double(x): return x", "\n" + TEST))
    assert not outcome.passed
    assert outcome == Outcome("failed", "AssertionError:  at: assert double(2) == 4")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def double(x: return", "SyntaxError"),
        ("def double(x): return y", "NameError: name 'y' is not defined at: assert double(2) == 4"),
        ("raise ValueError('no')", "ValueError: no"),
        ("def double(x): return double(x)", "RecursionError"),
        ("import numpy", "ModuleNotFoundError: No module named 'numpy'"),
        ("import llmkit", "ModuleNotFoundError"),
        ("input()", "EOFError"),
        ("x = '\\ud800'; raise ValueError(x)", "ValueError"),
        ("class E(Exception):\n def __str__(self): 1 / 0\nraise E", "ended with exit code 1"),
        ("\0", ""),
    ],
)
def test_broken_program_fails_with_its_error_message(code: str, message: str) -> None:
    outcome = run_program(Program(code, TEST), SHORT)
    assert outcome.reason == "failed"
    assert outcome.detail.startswith(message)


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "def double(x): raise SystemExit(0)",
        "def double(x): import os; os._exit(0)",
        "import builtins; builtins.exec = builtins.compile = lambda *a: None",
        "import os; os.read = os.write = lambda *a: b''; os._exit = lambda *a: None",
        "import builtins\nclass Quiet(Exception): pass\nbuiltins.AssertionError = Quiet",
        "import sys; sys.excepthook = lambda *a: None",
        "import sys\ndef skip(frame, event, arg): frame.f_trace_lines = False; return skip\nsys.settrace(skip)",
        "import atexit, os; atexit.register(os._exit, 0)",
        "def double(x): return 3\n'''",  # an open quote, which would disable tests appended to the program
        "def double(x): return 3\nif False:\n  \\",
        "print('a' * 32)",
        "import os\nfor d in range(3, 64):\n  try: os.write(d, b'n' * 32)\n  except OSError: pass",
        "import os\nfor d in range(3, 64):\n  try: os.close(d)\n  except OSError: pass",
    ],
)
def test_program_cannot_fake_a_pass(code: str) -> None:
    assert run_program(Program(code, TEST), SHORT).reason == "failed"


def test_program_cannot_skip_tests_with_a_trace_function() -> None:
    """A trace function can choose the next line to run."""
    skip = "def skip(frame, event, arg):\n  if frame.f_code.co_filename == '<tests>' and event == 'line':"
    skip += "\n    if frame.f_lineno == 1: frame.f_lineno = 2\n  return skip"
    code = f"import sys\n{skip}\nsys.settrace(skip)\ndef double(x): return 3"
    assert run_program(Program(code, TEST + "assert double(1) == 3"), SHORT).reason == "failed"


def test_required_layers_are_applied_even_if_not_listed_in_layers() -> None:
    assert (
        run_program(Program("open('/etc/passwd')", ""), SHORT, layers=[], required=["landlock"]).reason
        == "refused"
    )
    assert run_program(Program("import os; os.fork()", ""), SHORT, layers=[]).reason == "refused"


def test_tests_use_the_original_builtins() -> None:
    code = "import builtins\nbuiltins.sorted = lambda *a: [1, 2]\nbuiltins.len = lambda *a: 2\ndef f(): return [2]"
    assert run_program(Program(code, "assert sorted(f()) == [1, 2]"), SHORT).reason == "failed"
    assert run_program(Program(code, "assert len(f()) == 2"), SHORT).reason == "failed"
    assert run_program(Program("def f(): return len('ab')", "assert f() == len([0, 0])"), SHORT).passed


def test_program_and_tests_share_their_names() -> None:
    code = "from dataclasses import dataclass\n@dataclass\nclass Node:\n value: 'int'\ndef top(): return root.value"
    assert run_program(Program(code, "root = Node(1)\nassert top() == 1"), SHORT).passed


def test_long_programs_and_tests_are_not_truncated() -> None:
    padding = "# " + "x" * (1 << 20) + "\n"
    assert run_program(Program(padding + CORRECT, padding + TEST)).passed
    assert run_program(Program(padding + "raise ValueError('seen')", TEST)).detail == "ValueError: seen"


def test_order_of_sets_is_the_same_in_every_run() -> None:
    order = "\nassert 0, list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})"
    assert len({run_program(Program("", order)).detail for _ in range(3)}) == 1


# Limits


STATE = """
import os, resource
names = ("CPU", "AS", "FSIZE", "NPROC", "NOFILE", "CORE")
limits = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in names}
assert limits == EXPECTED, limits
assert "NoNewPrivs:\\t1" in open("/proc/self/status").read()
assert os.getsid(0) == os.getpid()
assert os.getcwd() == "/"
assert {os.readlink(f"/proc/self/fd/{d}") for d in (0, 1, 2)} == {"/dev/null"}
"""


@pytest.fixture
def _replace_stdin_by_pipe() -> Iterator[None]:
    stdin, (reading, writing) = os.dup(0), os.pipe()
    os.dup2(reading, 0)
    yield
    os.dup2(stdin, 0)
    for descriptor in (stdin, reading, writing):
        os.close(descriptor)


@pytest.mark.usefixtures("_replace_stdin_by_pipe")
def test_limits_session_and_input_without_any_layer() -> None:
    """The program itself checks them, which the layers would forbid."""
    none = dict.fromkeys(("FSIZE", "NPROC", "CORE"), (0, 0))
    expected = {"CPU": (1, 2), "AS": (128 << 20, 128 << 20), **none, "NOFILE": (64, 64)}
    names = ("CPU", "AS", "FSIZE", "NPROC", "NOFILE", "CORE")
    code = STATE.replace("EXPECTED", repr({name: expected[name] for name in names}))
    outcome = run_program(Program(code, ""), SHORT, layers=[], required=[])
    assert outcome.passed, outcome


def test_endless_loop_times_out() -> None:
    assert run_with_prefix("while True: pass").reason == "timeout"


def test_endless_loop_that_ignores_sigxcpu_is_killed() -> None:
    code = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    assert not run_with_prefix(code).passed


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(1000)",
        "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
        "import os, time\nfor d in range(3, 64):\n  try: os.close(d)\n  except OSError: pass\ntime.sleep(1000)",
    ],
)
def test_waiting_program_times_out(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(runner, "PATIENCE", 1)
    start = time.monotonic()
    assert run_with_prefix(code).reason == "timeout"
    assert time.monotonic() - start < 5


def test_busy_program_is_not_killed_by_the_watcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher checks it several times while it uses its CPU time."""
    monkeypatch.setattr(runner, "PATIENCE", 0.05)  # every half second
    assert run_with_prefix("import time\nwhile time.process_time() < 2: pass", Limits(seconds=10)).passed


def test_keyboard_interrupt_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_exchange", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_with_prefix("")


@pytest.mark.parametrize(
    "code",
    [
        "x = bytes(10 ** 10)",
        "x = []\nwhile True: x.append(bytes(10 ** 6))",
        "x = 'ab' * 2 ** 40",
        "import mmap; mmap.mmap(-1, 1 << 32)",
    ],
)
def test_memory_is_limited(code: str) -> None:
    outcome = run_with_prefix(code, Limits(seconds=5, memory_bytes=64 << 20))
    assert outcome.reason == "memory" or "Cannot allocate memory" in outcome.detail


def test_printed_output_is_discarded() -> None:
    assert run_with_prefix(
        "import sys\nfor _ in range(50): print('x' * 10 ** 6); sys.stderr.write('y' * 10 ** 6)"
    ).passed


def test_long_error_message_is_truncated() -> None:
    outcome = run_with_prefix("raise ValueError('x' * 10 ** 7)")
    assert outcome.reason == "failed"
    assert len(outcome.detail) <= 2000


def test_reply_is_limited_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program writes to the socket for its whole CPU time."""
    lengths: list[int] = []
    make_outcome = runner._make_outcome
    monkeypatch.setattr(runner, "PATIENCE", 2)
    monkeypatch.setattr(
        runner, "_make_outcome", lambda reply, *rest: lengths.append(len(reply)) or make_outcome(reply, *rest)
    )
    flood = "  for d in range(3, 64):\n    try: os.write(d, bytes(10 ** 6))\n    except OSError: pass"
    assert not run_with_prefix(f"import os\nwhile True:\n{flood}").passed
    assert lengths[0] <= runner.REPLY_BYTES


def test_crash_of_the_interpreter_is_reported() -> None:
    assert run_with_prefix("import ctypes; ctypes.string_at(0)") == Outcome("crashed", "ended by SIGSEGV")


# Attempts to leave the sandbox

OPEN_PORT = "import socket; s = socket.socket({kind}); s.connect(('127.0.0.1', {port}))"
FORKS = [
    "import os; os.fork()",
    "import os\nwhile True: os.fork()",
    "import os; os.forkpty()",
    "import os; os.posix_spawn('/bin/true', ['true'], {})",
    "import subprocess; subprocess.run(['/bin/true'])",
    "import subprocess; subprocess.Popen('sleep 1000 &', shell=True, start_new_session=True)",
    "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
    "import os; os.execv('/bin/true', ['true'])",
    "import os\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    while True: pass",  # a daemon
]
FILES = [
    "open('/etc/passwd').read()",
    "open('/proc/self/environ').read()",
    "open('/proc/self/mem', 'rb').read(1)",
    "open('/proc/1/cmdline').read()",
    "import os; os.listdir('/')",
    "import os; os.listdir('.')",
    "open('here', 'w')",
    "open('/tmp/here', 'a')",
    "open('/dev/shm/here', 'wb')",
    "import tempfile, os; os.mkdir('/tmp/here')",
    "import os; os.symlink('/etc/passwd', '/tmp/here')",
    "import os; os.open('/tmp', os.O_TMPFILE | os.O_WRONLY)",
    "import os; os.mkfifo('/tmp/here')",
]
OTHERS = [
    "import os; os.kill(os.getppid(), 9)",
    "import os; os.kill(-1, 9)",
    "import os; os.killpg(0, 9)",
    "import os; os.setuid(0)",
    "import os; os.chroot('/')",
    "import os; os.nice(-5)",
    "import socket; socket.socket()",
    "import socket; socket.socket(type=socket.SOCK_DGRAM)",
    "import socket; socket.socket(socket.AF_UNIX)",
    "import socket; socket.socketpair()",
    "import os; os.memfd_create('x')",
]


@pytest.mark.parametrize("code", [*FORKS, *FILES, *OTHERS])
def test_forbidden_operation_is_refused(code: str) -> None:
    outcome = run_with_prefix(code)
    assert outcome.reason == "refused", outcome


@pytest.mark.parametrize(
    "code",
    [
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "import signal; signal.setitimer(signal.ITIMER_REAL, 1)",
        "import pwd; pwd.getpwuid(0)",
    ],
)
def test_forbidden_operation_that_python_does_not_report_as_permission_error_fails(code: str) -> None:
    assert run_with_prefix(code).reason == "failed"


@pytest.mark.parametrize(
    "code",
    [
        "import threading\nwhile True: threading.Thread(target=print).start()",
        "import concurrent.futures as c; c.ThreadPoolExecutor().submit(print)",
    ],
)
def test_threads_cannot_be_started(code: str) -> None:
    assert run_with_prefix(code) == Outcome("failed", "RuntimeError: can't start new thread")


def test_program_that_catches_the_permission_error_passes() -> None:
    assert run_with_prefix("try: open('/tmp/here', 'w')\nexcept OSError: pass").passed


def test_program_cannot_connect_to_a_local_port() -> None:
    for kind, socket_type in (("1", socket.SOCK_STREAM), ("2", socket.SOCK_DGRAM)):
        with socket.socket(type=socket_type) as server:
            server.bind(("127.0.0.1", 0))
            outcome = run_with_prefix(OPEN_PORT.format(kind=f"type={kind}", port=server.getsockname()[1]))
            assert outcome.reason == "refused"


def test_files_cannot_be_read_changed_or_deleted(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("secret")
    for attempt in (
        f"open({str(path)!r}).read()",
        f"open({str(path)!r}, 'w')",
        f"import os; os.truncate({str(path)!r}, 0)",
        f"import os; os.remove({str(path)!r})",
        f"import os; os.rename({str(path)!r}, '/tmp/other')",
        f"import os; os.chmod({str(path)!r}, 0)",
        f"import os; os.link({str(path)!r}, '/tmp/other')",
        f"import os; os.utime({str(path)!r})",
        f"import os; os.mkdir({str(tmp_path / 'new')!r})",
        f"import shutil; shutil.rmtree({str(tmp_path)!r})",
        f"import sqlite3; sqlite3.connect({str(tmp_path / 'db')!r}).execute('create table t(x)')",
    ):
        outcome = run_with_prefix(attempt)
        assert outcome.reason == "refused" or "unable to open database file" in outcome.detail, (
            attempt,
            outcome,
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
    assert path.read_text() == "secret"


def test_standard_library_can_be_imported() -> None:
    modules = (
        "re math cmath heapq itertools collections bisect datetime array copy decimal fractions json hashlib"
    )
    more = "random statistics string typing functools operator dataclasses enum queue textwrap unicodedata zoneinfo"
    imports = f"import {', '.join((modules + ' ' + more).split())}\n"
    assert run_with_prefix(
        imports + "assert math.sqrt(4) == 2; datetime.datetime.now(); random.random()"
    ).passed


def test_environment_variables_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    assert run_with_prefix(
        "import os; assert not set(os.environ) - {'PYTHONHASHSEED', 'LC_CTYPE'}, os.environ"
    ).passed


def test_raw_system_calls_are_refused() -> None:
    """System calls through ctypes fail with EPERM: fork, socket, execve, io_uring, x32, ptrace and others."""
    call = "import ctypes; c = ctypes.CDLL(None, use_errno=True)\nfor n in ({}): assert c.syscall(n, 0, 0, 0) == -1"
    numbers = [57, 58, 41, 53, 59, 62, 101, 157, 165, 272, 317, 321, 425, 435, 437, 0x40000000 + 41]
    eperm = "\nassert ctypes.get_errno() == 1"
    assert run_with_prefix(call.format(", ".join(map(str, numbers))) + eperm).passed


# Each layer alone

ALONE = {
    "landlock": [
        ("open('/etc/passwd')", "refused"),
        ("open('/tmp/here', 'w')", "refused"),
        ("import os; os.remove('{path}')", "refused"),
        ("import os; os.execv('/bin/true', ['true'])", "refused"),
    ],
    "seccomp": [
        ("import os; os.fork()", "refused"),
        ("import socket; socket.socket()", "refused"),
        ("open('/tmp/here', 'w')", "refused"),
        ("open('/etc/passwd')", "passed"),
    ],
    "namespaces": [
        ("import socket; s = socket.socket(); s.settimeout(1); s.connect(('127.0.0.1', {port}))", "failed"),
        ("import socket; assert [n for _, n in socket.if_nameindex()] == ['lo']", "passed"),
    ],
}


@pytest.mark.parametrize("layer", ALONE)
def test_each_layer_alone_refuses_its_operations(layer: str, tmp_path: Path) -> None:
    """Only one layer is applied, so that another one can't hide that it has no effect."""
    if reason := _find_reason_to_skip((layer,)):
        pytest.skip(reason)
    path = tmp_path / "precious"
    path.touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        for code, reason in ALONE[layer]:
            code = code.replace("{port}", str(server.getsockname()[1])).replace("{path}", str(path))
            outcome = run_program(Program(code, ""), SHORT, layers=[layer], required=[layer])
            assert outcome.reason == reason, (code, outcome)


def test_without_layers_the_operations_succeed() -> None:
    """So it is the layers that refuse them in the tests above, not something else on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for code in (
            "open('/etc/passwd').read()",
            f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))",
            "import os; os.kill(os.getppid(), 0)",
            "import os; os.listdir('/')",
        ):
            assert run_program(Program(code, ""), SHORT, layers=[], required=[]).passed


NEWER = {  # version of the Landlock ABI that added a restriction -> an operation that it refuses
    4: "import socket; socket.create_connection(('127.0.0.1', {port}))",
    6: "import os; os.kill(os.getppid(), 0)",
}


@pytest.mark.parametrize("abi", NEWER)
def test_newer_landlock_refuses_tcp_and_signals(abi: int) -> None:
    supported = isolation.libc.syscall(
        isolation.LANDLOCK_CREATE, None, ctypes.c_size_t(0), isolation.LANDLOCK_VERSION
    )
    if supported < abi:
        pytest.skip(f"Landlock of this kernel has ABI {supported}, not {abi}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = NEWER[abi].format(port=server.getsockname()[1])
        outcome = run_program(Program(code, ""), SHORT, layers=["landlock"], required=["landlock"])
    assert outcome.reason == "refused", outcome


# Machines without a sandbox


KERNEL_WITHOUT = """
import ctypes, errno, struct, sys
from llmkit.sandbox import isolation
from llmkit.base.errors import UserError
from llmkit.sandbox.runner import Program, run_program

number, first_argument = {missing}
lines = [
    (isolation.LOAD, 0, 0, 0), (isolation.JUMP_EQUAL, 0, 3, number),
    (isolation.LOAD, 0, 0, 16), (isolation.JUMP_EQUAL, 0, 1, first_argument),
    (isolation.RETURN, 0, 0, 0x00050000 | errno.EINVAL), (isolation.RETURN, 0, 0, isolation.ALLOW),
]
code = b"".join(struct.pack("=HBBI", *line) for line in lines)
buffer = ctypes.create_string_buffer(code, len(code))
assert isolation.libc.prctl(isolation.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(buffer))
assert isolation.libc.prctl(isolation.PR_SET_SECCOMP, 2, program, 0, 0) == 0
try:
    run_program(Program("open({path!r}, 'w')", ""), layers=[], required=[{layer!r}])
except UserError as error:
    print(error)
print(run_program(Program("", ""), required=[]).reason)
"""
MISSING = {"landlock": (444, 0), "seccomp": (157, 22)}  # call, its first argument


@pytest.mark.parametrize("layer", MISSING)
def test_program_is_not_run_if_a_required_layer_is_missing(layer: str, tmp_path: Path) -> None:
    """A seccomp filter that refuses the system call of a layer simulates a kernel without it.

    The other layers are left out, because they would refuse to write the file too.
    """
    path = tmp_path / "written"
    script = KERNEL_WITHOUT.format(missing=MISSING[layer], path=str(path), layer=layer)
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    error, reason_without_requirement = process.stdout.splitlines()
    assert error.startswith(
        f"error[X01] generated programs can't be isolated on this machine: the kernel does not support {layer}. "
        "Fix: use "
    )
    assert reason_without_requirement == "passed"
    assert not path.exists()


def test_other_operating_systems_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UserError, match="not Linux"):
        run_program(Program("", ""))


# Several programs


def test_run_programs_keeps_the_order_and_reports_progress() -> None:
    class RecordedProgress:
        def __init__(self) -> None:
            self.done: list[int] = []

        def note(self, text: str) -> None:
            raise AssertionError

        def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
            assert total == 6
            self.done.append(done)

    progress = RecordedProgress()
    programs = [Program(f"def f(): return {i % 3}", "assert f() == 0") for i in range(6)]
    outcomes = run_programs(programs, SHORT, workers=2, progress=progress)
    assert [outcome.passed for outcome in outcomes] == [True, False, False] * 2
    assert progress.done == [1, 2, 3, 4, 5, 6]
    assert run_programs([], SHORT) == []


def test_program_is_killed_when_its_parent_is_killed() -> None:
    """After SIGKILL llmkit can't kill the program; the kernel does (PR_SET_PDEATHSIG)."""
    imports = "from llmkit.sandbox.runner import Program, run_program"
    code = f"{imports}; run_program(Program('import time; time.sleep(1000)', ''))"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent:
        # Before the filter is installed, the process could end because it has no job yet.
        _wait_until(lambda: any(map(_has_filter, _find_processes())))
        parent.kill()
    _wait_until(lambda: not _find_processes())


def _has_filter(pid: int) -> bool:
    return "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()


def _wait_until(condition: object) -> None:
    for _ in range(200):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise AssertionError("waited 10 seconds")
