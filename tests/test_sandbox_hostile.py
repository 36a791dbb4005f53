"""Hostile programs, in every kind of sandbox that this machine can start."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.sandbox.host import Host
from evalkit.sandbox.limits import MIB, Failed, Limits
from evalkit.sandbox.program import opened, printed
from evalkit.sandbox.warden import FOLDER
from tests.sandboxes import APART, NAMES, QUICK, outcome, processes, started

SECRET = "sk-0123456789"


@pytest.fixture(params=NAMES)
def where(request: pytest.FixtureRequest) -> Host:
    return started(request.param)


@pytest.fixture(params=APART)
def apart(request: pytest.FixtureRequest) -> Host:
    return started(request.param)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user of the machine may enter and write to."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@contextmanager
def nothing_left(where: Host) -> Iterator[None]:
    """Fails if a process of the sandbox is left that was not there before."""
    before = set(processes(where.name))
    yield
    deadline = time.monotonic() + 5
    while (left := set(processes(where.name)) - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left
    assert where.alive
    assert outcome("x = 1", where) == ""


FORKS = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        {}"


def test_a_program_starts_no_process(apart: Host) -> None:
    with nothing_left(apart):
        assert "raised: BlockingIOError" in (found := outcome(FORKS.format("raise"), apart)) or (
            "raised: PermissionError" in found
        )


def test_a_fork_bomb_that_may_start_some_processes_is_ended(where: Host) -> None:
    with nothing_left(where):
        limits = replace(QUICK, processes=8, clock=0.6)
        assert outcome(FORKS.format("pass"), where, limits).startswith("timed out")


DAEMON = """
import os, signal, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU):
            signal.signal(number, signal.SIG_IGN)
        if os.fork():
            os._exit(0)  # leaves a zombie, and a daemon that nobody waits for
        time.sleep(600)
"""


def test_daemons_and_zombies_end_with_their_program(where: Host) -> None:
    with nothing_left(where):
        assert outcome(DAEMON, where, replace(QUICK, processes=16)) == ""


def test_a_program_that_has_ended_leaves_no_daemon_either(where: Host) -> None:
    with nothing_left(where):
        source = DAEMON + "\nos._exit(0)"
        assert outcome(source, where, replace(QUICK, processes=16)).startswith("ended: exit code 0")


def test_memory_is_bounded(where: Host) -> None:
    bomb = "held = []\nwhile True:\n    held.append(bytearray(8_000_000))"
    limits = Limits(seconds=5, clock=20, memory=512 * MIB)
    assert outcome(bomb, where, limits).startswith("raised: MemoryError")


def test_one_huge_object_is_refused(where: Host) -> None:
    assert outcome("x = bytes(1 << 40)", where).startswith("raised: MemoryError")


def test_endless_output_is_cut_off(where: Host) -> None:
    limits = replace(QUICK, output=MIB)
    with nothing_left(where), pytest.raises(Failed, match="too much output"):
        printed("while True: print('x' * 1000)", limits=limits, where=where)


def test_endless_messages_to_evalkit_are_cut_off(where: Host) -> None:
    flood = "import os\nos.write(3, b'\x7f' * 4)\nwhile True: os.write(3, b'x' * 9999)"
    assert "too much output" in outcome(flood, where, replace(QUICK, output=MIB))


@pytest.mark.parametrize("rest", ["while True: pass", "time.sleep(60)"])
def test_an_answer_that_drips_takes_no_longer(rest: str) -> None:
    drip = (
        "import os, time, threading\nos.write(3, b'\\0\\1\\0\\0')\n"
        "def drips():\n    while True:\n        os.write(3, b'x'); time.sleep(0.01)\n"
        f"threading.Thread(target=drips).start()\n{rest}"
    )
    began = time.monotonic()
    found = outcome(drip, started("namespaces"), replace(QUICK, clock=1.0))
    assert found.startswith("timed out")
    assert time.monotonic() - began < 30


def test_errors_without_end_are_read_by_nobody(where: Host) -> None:
    source = "import os\nwhile True: os.write(2, b'x' * 100_000)"
    assert outcome(source, where).startswith("timed out")


def test_a_value_that_is_too_large_is_not_taken(where: Host) -> None:
    with opened(replace(QUICK, output=MIB), where) as program:
        program.run("def f(): return 'x' * 3_000_000")
        with pytest.raises(Failed, match="too much output"):
            program.call("f")


LOOPS = {
    "busy": "while True: pass",
    "asleep": "import time\nwhile True: time.sleep(9)",
    "ignores signals": (
        "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass"
    ),
    "catches all": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    ),
    "threads": (
        "import threading\nfor _ in range(8):\n"
        "    threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()\n"
        "while True: pass"
    ),
    "in one call": "9 ** 9 ** 9",
}


@pytest.mark.parametrize("loop", LOOPS)
def test_what_takes_too_long_is_ended(loop: str) -> None:
    where = started("namespaces")
    limits = replace(QUICK, clock=0.6) if loop == "asleep" else QUICK
    with nothing_left(where):
        assert outcome(LOOPS[loop], where, limits).startswith("timed out")


def test_it_is_ended_in_every_sandbox(where: Host) -> None:
    with nothing_left(where):
        assert outcome(LOOPS["ignores signals"], where).startswith("timed out")


def test_time_is_cpu_time_as_long_as_the_clock_allows(where: Host) -> None:
    limits = replace(QUICK, seconds=0.2, clock=30, total=30)
    assert outcome("import time; time.sleep(0.6)", where, limits) == ""
    assert outcome("while True: pass", where, limits) == "timed out: 0.2 s of CPU time"


def test_nothing_outside_is_written(apart: Host, public: Path) -> None:
    mine = public / "mine"
    mine.write_text("mine")
    mine.chmod(0o666)
    source = f"""
import os, sys
def tries():
    done = []
    for path in {[str(mine), str(public / "new"), "/new", "/etc/new", "/var/tmp/new"]} + [
        os.__file__, os.path.dirname(os.__file__) + "/new.py", sys.prefix + "/new"]:
        for how in ("w", "a", "x"):
            try:
                open(path, how).write("x")
                done.append(path)
            except OSError:
                pass
        for act in (os.remove, os.mkdir, lambda path: os.chmod(path, 0o777),
                    lambda path: os.truncate(path, 0), lambda path: os.rename(path, "here")):
            try:
                act(path)
                done.append(path)
            except OSError:
                pass
    return done
"""
    with opened(where=apart) as program:
        program.run(source)
        assert program.call("tries") == []
    assert mine.read_text() == "mine"
    assert not (public / "new").exists()


def test_nothing_outside_is_read(apart: Host, public: Path) -> None:
    key = public / "key"
    key.write_text(SECRET)
    key.chmod(0o644)
    mine = [str(key), str(Path.home()), __file__, str(Path(__file__).parents[1] / "README.md")]
    mine += [f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/mem", "/etc/shadow", "/root"]
    source = f"""
import os
def found():
    seen = []
    for path in {mine} + [f"/proc/{{n}}/environ" for n in (1, os.getppid())]:
        try:
            seen.append(os.listdir(path) if os.path.isdir(path) else open(path).read())
        except OSError:
            continue
        if isinstance(seen[-1], list) and all(path in os.__file__ for path in [path]):
            seen.pop()  # a folder on the way to the interpreter, empty but for it
    return seen
"""
    with opened(where=apart) as program:
        program.run(source)
        assert program.call("found") == []


def test_the_environment_is_empty(where: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    fresh = Host([NAMES["bare"]])
    try:
        for sandbox in (where, fresh):
            with opened(where=sandbox) as program:
                program.run("import os\ndef f(): return dict(os.environ)")
                environment = program.call("f")
                assert SECRET not in str(environment)
                assert set(environment) == {
                    *("PATH", "HOME", "TMPDIR", "LANG", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
                }
    finally:
        fresh.close()


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """Servers of four kinds, and what reached them; a program that tries them all."""
    reached: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        places: dict[str, tuple[int, int, Any]] = {
            "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "unix": (socket.AF_UNIX, socket.SOCK_STREAM, f"{folder}/socket"),
            "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0evalkit-{os.getpid()}"),
        }
        servers, tries = [], []
        for name, (family, kind, address) in places.items():
            server = socket.socket(family, kind)
            server.bind(address)
            if kind == socket.SOCK_STREAM:
                server.listen()
            if name == "unix":
                os.chmod(f"{folder}/socket", 0o777)
            servers.append((name, server))
            tries.append((int(family), int(kind), server.getsockname()))
        threads = [threading.Thread(target=wait, args=(*each, reached)) for each in servers]
        for thread in threads:
            thread.start()
        try:
            yield f"TRIES = {tries!r}", reached
        finally:
            for (_, server), (family, kind, _address) in zip(servers, tries, strict=True):
                with suppress(OSError), socket.socket(family, kind) as last:
                    last.connect(server.getsockname())
                    last.send(b"end")
            for thread in threads:
                thread.join(timeout=5)
            for _, server in servers:
                server.close()


def wait(name: str, server: socket.socket, reached: list[str]) -> None:
    """Notes whatever comes to a server but the end."""
    while True:
        if server.type == socket.SOCK_DGRAM:
            said = server.recv(100)
        else:
            with server.accept()[0] as connection:
                said = connection.recv(100)
        if said == b"end":
            return
        reached.append(name)


CONNECTS = """
import socket
def connects():
    done = []
    for family, kind, address in TRIES:
        try:
            with socket.socket(family, kind) as tried:
                tried.settimeout(0.5)
                tried.connect(tuple(address) if isinstance(address, list) else address)
                tried.send(b"hello")
                done.append(str(address))
        except OSError:
            pass
    return done
"""


def test_no_server_is_reached(apart: Host) -> None:
    with listening() as (tries, reached), opened(where=apart) as program:
        program.run(tries + CONNECTS)
        assert program.call("connects") == []
    assert reached == []


def test_the_servers_of_that_test_can_be_reached() -> None:
    with listening() as (tries, reached):
        space: dict[str, object] = {}
        exec(tries + CONNECTS, space)
        assert len(space["connects"]()) == 4  # type: ignore[operator]
    assert sorted(reached) == ["abstract", "tcp", "udp", "unix"]


def test_no_other_process_is_killed_or_even_seen(apart: Host) -> None:
    source = f"""
import os, signal
def reached():
    found = []
    for process in ({os.getpid()}, {apart.process}, os.getppid() or {os.getpid()}):
        try:
            os.kill(process, 0 if process == {os.getpid()} else signal.SIGKILL)
            found.append(process)
        except OSError:
            pass
    return [process for process in found if process != 1]
"""
    with nothing_left(apart):
        with opened(where=apart) as program:
            program.run(source)
            assert program.call("reached") == []
        for everyone in ("os.kill(-1, 9)", "os.killpg(0, 9)", "os.kill(os.getppid(), 9)"):
            outcome(f"import os\n{everyone}", apart)


CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def succeed():
    data = ctypes.create_string_buffer(64)
    tries = {
        "ptrace": lambda: libc.ptrace(16, PARENT, 0, 0),
        "trace me": lambda: libc.ptrace(0, 0, 0, 0),
        "read memory": lambda: libc.process_vm_readv(PARENT, data, 1, data, 1, 0),
        "namespace": lambda: libc.unshare(0x10000000),
        "mount": lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
        "unmount": lambda: libc.umount2(b"/", 2),
        "chroot": lambda: libc.chroot(b"/"),
        "root": lambda: libc.setresuid(0, 0, 0) if os.getuid() else -1,
        "limits": lambda: libc.prlimit(PARENT, 7, data, None),
        "memory file": lambda: libc.memfd_create(b"x", 0),
        "shared memory": lambda: libc.shmget(0, 4096, 0o1600),
        "bpf": lambda: libc.syscall(321, 0, data, 64),
        "keys": lambda: libc.syscall(250, 0, -3, 1),
        "ring": lambda: libc.syscall(425, 8, data),
        "priority": lambda: libc.setpriority(0, PARENT, 5),
    }
    return [name for name, call in tries.items() if call() != -1]
"""


def test_the_kernel_is_not_asked_for_more(apart: Host) -> None:
    with opened(where=apart) as program:
        program.run(f"PARENT = {apart.process}\n{CALLS}")
        assert program.call("succeed") == []


@pytest.mark.parametrize(
    "fill",
    [
        "open('big', 'wb').write(bytes(9_000_000))",
        "for n in range(100_000):\n    open(str(n), 'w').write('x' * 5000)",
        "import os\nfor n in range(100_000):\n    os.makedirs(f'd{n}/e'); "
        "open(f'd{n}/e/f', 'wb').write(bytes(100_000))",
    ],
    ids=["one file", "many files", "folders"],
)
def test_the_private_folder_is_small(where: Host, fill: str) -> None:
    before = free(tempfile.gettempdir())
    found = outcome(fill, where, Limits(seconds=20, clock=60, files=4 * MIB))
    assert "OSError" in found or "too much output: too many files" in found
    assert before - free(tempfile.gettempdir()) < 400 * MIB


def free(folder: str) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


HIDES = """
import os
for depth in range(500):
    os.mkdir("deep")
    os.chdir("deep")
os.chdir(os.environ["HOME"])
os.makedirs("a/b")
open("a/b/c", "w").write("x")
os.symlink("/", "root")
for path in ("a/b", "a", "."):
    try:
        os.chmod(path, 0)
    except PermissionError:
        pass
"""


def test_the_private_folder_is_removed_whatever_was_done_to_it(where: Host) -> None:
    before = set(Path(tempfile.gettempdir()).glob(f"{FOLDER}*"))
    assert outcome(HIDES, where) == ""
    assert set(Path(tempfile.gettempdir()).glob(f"{FOLDER}*")) <= before


def test_programs_see_nothing_of_each_other(where: Host) -> None:
    with opened(where=where) as first, opened(where=where) as second:
        first.run("import os\nopen('left', 'w').write('x')\nos.environ['LEFT'] = 'x'\nleft = 1")
        second.run("import os\ndef seen(): return os.listdir('.'), 'LEFT' in os.environ")
        assert second.call("seen") == ([], False)
        with pytest.raises(Failed, match="NameError"):
            second.run("left")


@pytest.mark.parametrize(
    ("crash", "said"),
    [
        ("import ctypes; ctypes.string_at(0)", "ended: killed by SIGSEGV"),
        ("import os; os.abort()", "ended: killed by SIG"),
        ("import os; os.kill(os.getpid(), 40); os._exit(0)", "ended: "),
        ("import os; os._exit(0)", "ended: exit code 0 before it was done"),
        ("import sys; sys.exit(0)", "raised: SystemExit: 0"),
        ("raise KeyboardInterrupt", "raised: KeyboardInterrupt"),
        ("def f(): f()\nf()", "raised: RecursionError"),
        ("import os; os.close(3)", "ended: exit code 0"),
        ("import os; os.closerange(0, 100)", "ended: exit code 0"),
        ("(" * 5000, "raised: SyntaxError"),
        ("x = 1\0", "raised: "),
        ("class E(Exception):\n    def __str__(self): raise E\nraise E", "raised: E"),
    ],
)
def test_a_program_that_breaks_has_failed(where: Host, crash: str, said: str) -> None:
    assert outcome(crash, where).startswith(said)
