"""What hostile and broken programs try, and that they get nowhere: real processes, real attempts."""

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
from llmkit.sandbox.runner import Limits, Outcome, Program, isolation, run, run_many, runner

QUICK = Limits(seconds=1, memory_bytes=128 << 20)
RIGHT, TEST = "def double(x): return 2 * x\n", "assert double(2) == 4\n"


def _reason_missing(layers: tuple[str, ...]) -> str:
    """Why these layers can't be tested on this machine, or ""."""
    try:
        run(Program("", ""), layers=layers, required=layers)
    except UserError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module", autouse=True)
def _machine() -> None:
    if reason := _reason_missing(runner.REQUIRED):
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    """Whatever a program tried: no process of it is there afterwards, not even one that nobody has waited for."""
    before = _own_jails()
    yield
    assert _own_jails() <= before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def _own_jails() -> set[int]:
    """Of this process, or of nobody any more; another test run may have some of its own."""
    return {pid for pid in _jails() if _parent(pid) in (os.getpid(), 1)}


def _parent(pid: int) -> int:
    """0 for a process that has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _jails() -> set[int]:
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and str(runner.JAIL).encode() in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue  # it has ended
    return found


def verdict(code: str, limits: Limits = QUICK, tests: str = TEST) -> Outcome:
    """The outcome of the right solution with this code in front."""
    return run(Program(code + "\n" + RIGHT, tests), limits)


# The verdict


def test_a_right_program_passes_and_a_wrong_one_fails_with_its_test() -> None:
    assert run(Program(RIGHT, TEST)) == Outcome("passed", "")
    outcome = run(Program("def double(x): return x", "\n" + TEST))
    assert not outcome.passed
    assert outcome == Outcome("failed", "AssertionError:  at: assert double(2) == 4")


@pytest.mark.parametrize(
    ("code", "said"),
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
def test_broken_programs_fail_with_what_they_say(code: str, said: str) -> None:
    outcome = run(Program(code, TEST), QUICK)
    assert outcome.reason == "failed"
    assert outcome.detail.startswith(said)


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
        "def double(x): return 3\n'''",  # an open quote that would swallow tests written behind it
        "def double(x): return 3\nif False:\n  \\",
        "print('a' * 32)",
        "import os\nfor d in range(3, 64):\n  try: os.write(d, b'n' * 32)\n  except OSError: pass",
        "import os\nfor d in range(3, 64):\n  try: os.close(d)\n  except OSError: pass",
    ],
)
def test_a_program_can_not_claim_to_have_passed(code: str) -> None:
    assert run(Program(code, TEST), QUICK).reason == "failed"


def test_a_program_can_not_jump_over_tests() -> None:
    """Python lets a trace function choose the next line."""
    skip = "def skip(frame, event, arg):\n  if frame.f_code.co_filename == '<tests>' and event == 'line':"
    skip += "\n    if frame.f_lineno == 1: frame.f_lineno = 2\n  return skip"
    code = f"import sys\n{skip}\nsys.settrace(skip)\ndef double(x): return 3"
    assert run(Program(code, TEST + "assert double(1) == 3"), QUICK).reason == "failed"


def test_what_is_required_is_put_up_though_not_asked_for() -> None:
    assert (
        run(Program("open('/etc/passwd')", ""), QUICK, layers=[], required=["landlock"]).reason == "refused"
    )
    assert run(Program("import os; os.fork()", ""), QUICK, layers=[]).reason == "refused"


def test_the_tests_see_the_builtins_as_they_were() -> None:
    code = "import builtins\nbuiltins.sorted = lambda *a: [1, 2]\nbuiltins.len = lambda *a: 2\ndef f(): return [2]"
    assert run(Program(code, "assert sorted(f()) == [1, 2]"), QUICK).reason == "failed"
    assert run(Program(code, "assert len(f()) == 2"), QUICK).reason == "failed"
    assert run(Program("def f(): return len('ab')", "assert f() == len([0, 0])"), QUICK).passed


def test_tests_may_be_set_up_with_what_the_program_defines_and_the_program_sees_it() -> None:
    code = "from dataclasses import dataclass\n@dataclass\nclass Node:\n value: 'int'\ndef top(): return root.value"
    assert run(Program(code, "root = Node(1)\nassert top() == 1"), QUICK).passed


def test_long_programs_and_tests_come_whole() -> None:
    padding = "# " + "x" * (1 << 20) + "\n"
    assert run(Program(padding + RIGHT, padding + TEST)).passed
    assert run(Program(padding + "raise ValueError('seen')", TEST)).detail == "ValueError: seen"


def test_the_order_of_a_set_is_the_same_in_every_run() -> None:
    order = "\nassert 0, list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})"
    assert len({run(Program("", order)).detail for _ in range(3)}) == 1


# The limits


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
def _a_pipe_as_input() -> Iterator[None]:
    kept, (reading, writing) = os.dup(0), os.pipe()
    os.dup2(reading, 0)
    yield
    os.dup2(kept, 0)
    for descriptor in (kept, reading, writing):
        os.close(descriptor)


@pytest.mark.usefixtures("_a_pipe_as_input")
def test_what_holds_without_any_layer_too() -> None:
    """Looked at from inside, where no layer forbids to look."""
    nothing = dict.fromkeys(("FSIZE", "NPROC", "CORE"), (0, 0))
    expected = {"CPU": (1, 2), "AS": (128 << 20, 128 << 20), **nothing, "NOFILE": (64, 64)}
    names = ("CPU", "AS", "FSIZE", "NPROC", "NOFILE", "CORE")
    code = STATE.replace("EXPECTED", repr({name: expected[name] for name in names}))
    outcome = run(Program(code, ""), QUICK, layers=[], required=[])
    assert outcome.passed, outcome


def test_an_endless_loop_ends() -> None:
    assert verdict("while True: pass").reason == "timeout"


def test_a_loop_that_catches_the_signal_ends_too() -> None:
    code = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    assert not verdict(code).passed


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(1000)",
        "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
        "import os, time\nfor d in range(3, 64):\n  try: os.close(d)\n  except OSError: pass\ntime.sleep(1000)",
    ],
)
def test_a_program_that_waits_is_killed(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(runner, "PATIENCE", 1)
    start = time.monotonic()
    assert verdict(code).reason == "timeout"
    assert time.monotonic() - start < 5


def test_a_program_that_works_is_not_killed_however_slow_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at several times while it uses its processor time."""
    monkeypatch.setattr(runner, "PATIENCE", 0.05)  # every half second
    assert verdict("import time\nwhile time.process_time() < 2: pass", Limits(seconds=10)).passed


def test_an_interrupted_run_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_converse", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verdict("")


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
    outcome = verdict(code, Limits(seconds=5, memory_bytes=64 << 20))
    assert outcome.reason == "memory" or "Cannot allocate memory" in outcome.detail


def test_what_is_printed_goes_nowhere_and_fills_nothing() -> None:
    assert verdict(
        "import sys\nfor _ in range(50): print('x' * 10 ** 6); sys.stderr.write('y' * 10 ** 6)"
    ).passed


def test_a_long_complaint_is_cut() -> None:
    outcome = verdict("raise ValueError('x' * 10 ** 7)")
    assert outcome.reason == "failed"
    assert len(outcome.detail) <= 2000


def test_a_flood_on_the_channel_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program writes as much as its second gives it."""
    kept: list[int] = []
    outcome = runner._outcome
    monkeypatch.setattr(runner, "PATIENCE", 2)
    monkeypatch.setattr(
        runner, "_outcome", lambda said, *rest: kept.append(len(said)) or outcome(said, *rest)
    )
    flood = "  for d in range(3, 64):\n    try: os.write(d, bytes(10 ** 6))\n    except OSError: pass"
    assert not verdict(f"import os\nwhile True:\n{flood}").passed
    assert kept[0] <= runner.REPLY_BYTES


def test_a_crash_of_the_interpreter_is_told() -> None:
    assert verdict("import ctypes; ctypes.string_at(0)") == Outcome("crashed", "ended by SIGSEGV")


# Ways out

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
def test_ways_out_are_refused(code: str) -> None:
    outcome = verdict(code)
    assert outcome.reason == "refused", outcome


@pytest.mark.parametrize(
    "code",
    [
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "import signal; signal.setitimer(signal.ITIMER_REAL, 1)",
        "import pwd; pwd.getpwuid(0)",
    ],
)
def test_refusals_that_python_words_otherwise(code: str) -> None:
    assert verdict(code).reason == "failed"


@pytest.mark.parametrize(
    "code",
    [
        "import threading\nwhile True: threading.Thread(target=print).start()",
        "import concurrent.futures as c; c.ThreadPoolExecutor().submit(print)",
    ],
)
def test_threads_can_not_be_started(code: str) -> None:
    assert verdict(code) == Outcome("failed", "RuntimeError: can't start new thread")


def test_caught_refusals_are_not_held_against_a_program() -> None:
    assert verdict("try: open('/tmp/here', 'w')\nexcept OSError: pass").passed


def test_no_connection_reaches_this_machine() -> None:
    for kind, made in (("1", socket.SOCK_STREAM), ("2", socket.SOCK_DGRAM)):
        with socket.socket(type=made) as server:
            server.bind(("127.0.0.1", 0))
            outcome = verdict(OPEN_PORT.format(kind=f"type={kind}", port=server.getsockname()[1]))
            assert outcome.reason == "refused"


def test_files_are_neither_read_written_nor_deleted(tmp_path: Path) -> None:
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
        outcome = verdict(attempt)
        assert outcome.reason == "refused" or "unable to open database file" in outcome.detail, (
            attempt,
            outcome,
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
    assert path.read_text() == "secret"


def test_the_standard_library_can_be_used() -> None:
    modules = (
        "re math cmath heapq itertools collections bisect datetime array copy decimal fractions json hashlib"
    )
    more = "random statistics string typing functools operator dataclasses enum queue textwrap unicodedata zoneinfo"
    imports = f"import {', '.join((modules + ' ' + more).split())}\n"
    assert verdict(imports + "assert math.sqrt(4) == 2; datetime.datetime.now(); random.random()").passed


def test_nothing_of_the_environment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    assert verdict(
        "import os; assert not set(os.environ) - {'PYTHONHASHSEED', 'LC_CTYPE'}, os.environ"
    ).passed


def test_raw_system_calls_are_refused_as_well() -> None:
    """ctypes is there, but the kernel says no, whatever the way in: fork, socket, execve, io_uring, x32, ptrace."""
    call = "import ctypes; c = ctypes.CDLL(None, use_errno=True)\nfor n in ({}): assert c.syscall(n, 0, 0, 0) == -1"
    numbers = [57, 58, 41, 53, 59, 62, 101, 157, 165, 272, 317, 321, 425, 435, 437, 0x40000000 + 41]
    eperm = "\nassert ctypes.get_errno() == 1"
    assert verdict(call.format(", ".join(map(str, numbers))) + eperm).passed


# Each layer by itself

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
def test_each_layer_holds_by_itself(layer: str, tmp_path: Path) -> None:
    """With the others taken away, so that none hides that another does nothing."""
    if reason := _reason_missing((layer,)):
        pytest.skip(reason)
    path = tmp_path / "precious"
    path.touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        for code, reason in ALONE[layer]:
            code = code.replace("{port}", str(server.getsockname()[1])).replace("{path}", str(path))
            outcome = run(Program(code, ""), QUICK, layers=[layer], required=[layer])
            assert outcome.reason == reason, (code, outcome)


def test_without_layers_the_attempts_would_have_worked() -> None:
    """So it is the layers that refuse them above, not some chance of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for code in (
            "open('/etc/passwd').read()",
            f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))",
            "import os; os.kill(os.getppid(), 0)",
            "import os; os.listdir('/')",
        ):
            assert run(Program(code, ""), QUICK, layers=[], required=[]).passed


LATER = {  # what Landlock learned later: its ABI -> an attempt
    4: "import socket; socket.create_connection(('127.0.0.1', {port}))",
    6: "import os; os.kill(os.getppid(), 0)",
}


@pytest.mark.parametrize("abi", LATER)
def test_landlock_keeps_tcp_and_signals_away_too(abi: int) -> None:
    known = isolation.libc.syscall(
        isolation.LANDLOCK_CREATE, None, ctypes.c_size_t(0), isolation.LANDLOCK_VERSION
    )
    if known < abi:
        pytest.skip(f"Landlock of this kernel has ABI {known}, not {abi}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = LATER[abi].format(port=server.getsockname()[1])
        outcome = run(Program(code, ""), QUICK, layers=["landlock"], required=["landlock"])
    assert outcome.reason == "refused", outcome


# A machine that can't


KERNEL_WITHOUT = """
import ctypes, errno, struct, sys
from llmkit.sandbox import isolation
from llmkit.base.errors import UserError
from llmkit.sandbox.runner import Program, run

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
    run(Program("open({path!r}, 'w')", ""), layers=[], required=[{layer!r}])
except UserError as error:
    print(error)
print(run(Program("", ""), required=[]).reason)
"""
MISSING = {"landlock": (444, 0), "seccomp": (157, 22)}  # call, its first argument


@pytest.mark.parametrize("layer", MISSING)
def test_a_kernel_without_a_required_layer_runs_nothing(layer: str, tmp_path: Path) -> None:
    """Such a kernel is played by a filter that refuses what the layer is made of; weaker only if told so.

    The other layers are left away: they would refuse the file too.
    """
    path = tmp_path / "written"
    script = KERNEL_WITHOUT.format(missing=MISSING[layer], path=str(path), layer=layer)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )
    error, weaker = done.stdout.splitlines()
    assert error.startswith(
        f"error[X01] programs of a model are not run here: the kernel gives no {layer}. Fix: use "
    )
    assert weaker == "passed"
    assert not path.exists()


def test_other_systems_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UserError, match="not Linux"):
        run(Program("", ""))


# Many


def test_many_keep_their_order_and_tell_how_far_they_are() -> None:
    class Heard:
        def __init__(self) -> None:
            self.done: list[int] = []

        def note(self, text: str) -> None:
            raise AssertionError

        def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
            assert total == 6
            self.done.append(done)

    heard = Heard()
    programs = [Program(f"def f(): return {i % 3}", "assert f() == 0") for i in range(6)]
    outcomes = run_many(programs, QUICK, workers=2, progress=heard)
    assert [outcome.passed for outcome in outcomes] == [True, False, False] * 2
    assert heard.done == [1, 2, 3, 4, 5, 6]
    assert run_many([], QUICK) == []


def test_a_program_ends_with_the_process_that_started_it() -> None:
    """Killed outright, llmkit can't kill the program: the kernel does."""
    code = "from llmkit.sandbox.runner import Program, run; run(Program('import time; time.sleep(1000)', ''))"
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent.parent) as parent:
        _until(lambda: any(map(_is_locked_in, _jails())))  # sooner, it would end for want of a job
        parent.kill()
    _until(lambda: not _jails())


def _is_locked_in(pid: int) -> bool:
    return "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()


def _until(condition: object) -> None:
    for _ in range(200):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise AssertionError("waited 10 seconds")
