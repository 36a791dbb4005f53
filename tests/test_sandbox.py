"""Programs in the sandbox: what comes back, what cannot be forged, what is started again."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import SandboxError
from evalkit.sandbox import host, seccomp
from evalkit.sandbox.host import Host
from evalkit.sandbox.limits import Failed, Limits
from evalkit.sandbox.program import opened, printed
from evalkit.sandbox.values import Foreign, packed, unpacked
from tests.sandboxes import NAMES, QUICK, processes, started

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.frozensets(st.integers() | st.text())
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_plain_values_come_out_as_they_are(value: Any) -> None:
    assert same(unpacked(packed(value)), value)


def same(one: Any, other: Any) -> bool:
    """Equal, with every NaN like every other."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return bool(one == other)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (Fraction(1, 2), 0.5),
        (Decimal(7), 7),
        (10**20000, 10**20000),
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (math.inf, math.inf),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_equals_a_plain_value_comes_out_as_one(value: Any, expected: Any) -> None:
    assert unpacked(packed(value)) == expected


class Always:
    def __eq__(self, _other: object) -> bool:
        return True


@pytest.mark.parametrize(
    "value",
    [Always(), deque([1]), range(1), Fraction(1, 3), object, np.array([1]), iter([1]), 1j, len],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_plain_value_equals_nothing(value: Any) -> None:
    back = unpacked(packed([value]))[0]
    assert isinstance(back, Foreign)
    others: list[Any] = [[1], 1, 1j, None]
    assert back not in others


@pytest.mark.parametrize(
    "data", [b"", b"x", b'{"a": 1}', b"{}", b'{"dict": 1}', b'{"int": "x"}', b"[" * 10**6, b"\xff"]
)
def test_what_a_program_sends_is_a_value_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpacked(data)


HONEST = "def double(x):\n    return 2 * x\n"
TESTS = "assert double(2) == 4\nassert double([1]) == [1, 1]\nassert abs(double(.5) - 1) < 1e-9"


def verdict(program: str, tests: str = TESTS, where: Host | None = None) -> str:
    with opened(QUICK, where) as opening:
        try:
            opening.run(program)
            opening.run(tests, tests=True)
        except Failed as failed:
            return failed.how
    return "passed"


FORGERIES = {
    "exits before the tests": "import sys\nsys.exit(0)",
    "leaves at once": "import os\nos._exit(0)",
    "leaves when tested": "import os\ndef double(x): os._exit(0)",
    "exits when tested": "def double(x): raise SystemExit(0)",
    "prints success": "def double(x):\n    print('passed', 'ok', '{\"token\": \"\"}')",
    "equals everything": (
        "class A:\n    def __eq__(self, o): return True\ndef double(x): return A()"
    ),
    "equals everything, inside": (
        "class A:\n    def __eq__(self, o): return True\n"
        "class L(list):\n    def __eq__(self, o): return True\n"
        "def double(x): return L([A()]) if x != 2 else [A()]"
    ),
    "is never different": (
        "class F(float):\n    def __eq__(self, o): return True\n"
        "    def __sub__(self, o): return 0.0\ndef double(x): return F(x) if x != [1] else [1, 1]"
    ),
    "writes success everywhere": (
        "import os, struct\nsaid = b'{\"token\": \"' + b'0' * 32 + b'\"}'\nfor fd in range(10):\n"
        "    try: os.write(fd, struct.pack('!I', len(said)) + said)\n    except OSError: pass\n"
    ),
    "replaces what judges": (
        "import builtins, sys, json, os\n"
        "builtins.AssertionError = Warning\nbuiltins.abs = lambda x: 0\nsys.exit = print\n"
        "json.dumps = lambda *a, **k: '{}'\ndef double(x): return x\n"
    ),
    "shadows the tests": "def check(*a): pass\nassert_ = None\ndef double(x): return x",
    "removes tests from the disk": (
        "import os, glob\nfor f in glob.glob('/**/*test*', recursive=True):\n"
        "    try: os.remove(f)\n    except OSError: pass\ndef double(x): return x"
    ),
    "reads the tests": "import sys\ndef double(x): return sys._getframe(1).f_globals['answer']",
    "sleeps": "import time\ndef double(x): time.sleep(9)",
    "closes every line": "import os\nos.closerange(0, 99)\ndef double(x): return 2 * x",
    "catches the failure": (
        "import sys, atexit\nsys.excepthook = lambda *a: None\natexit.register(print, 'ok')\n"
        "def double(x): return None"
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("name", NAMES)
def test_a_pass_is_not_forged_in_these_ways(name: str, forgery: str) -> None:
    assert verdict(FORGERIES[forgery], where=started(name)) != "passed"


def test_an_answer_that_brings_its_own_comparison_is_told_apart() -> None:
    assert verdict(FORGERIES["equals everything"]) == "forged"
    assert verdict(HONEST) == "passed"


def test_objects_of_the_program_may_still_be_compared_by_the_program() -> None:
    program = (
        "class P:\n    def __init__(self, x): self.x = x\n"
        "    def __lt__(self, o): return self.x < o.x\n    def __eq__(self, o): return True\n"
        "def double(x): return [P(2), P(1)] and 2 * x\ndef least(points): return min(points).x\n"
    )
    assert verdict(program, "assert least([P(3), P(1)]) == 1\nassert double(1) == 2") == "passed"


def test_what_is_called_returns_data_that_evalkit_compares() -> None:
    with opened(QUICK) as program:
        program.run(HONEST + "class A:\n    def __eq__(self, o): return True\ndef a(): return A()")
        assert program.call("double", 21) == 42
        assert program.call("double", {"a": 1}["a"]) == 2
        assert program.call("a") != 42
        with pytest.raises(Failed, match="raised: TypeError"):
            program.call("double", {"a": 1})
        with pytest.raises(Failed, match="raised: KeyError"):
            program.call("absent")


def test_a_program_remembers_and_goes_on_after_an_error() -> None:
    with opened(QUICK) as program:
        program.run("seen = []\ndef add(x):\n    seen.append(x)\n    return seen")
        assert program.call("add", 1) == [1]
        with pytest.raises(Failed, match="ZeroDivisionError"):
            program.run("1 / 0")
        assert program.call("add", 2) == [1, 2]


@pytest.mark.parametrize(
    ("source", "stdin", "expected"),
    [
        ("print(int(input()) * 2)", "21\n", ("42\n", 0)),
        ("import sys\nfor line in sys.stdin: print(line.strip()[::-1])", "ab\ncd", ("ba\ndc\n", 0)),
        ("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())", "é\0", ("é\0", 0)),
        ("import os\nos.write(1, b'x')\nos._exit(0)", "", ("x", 0)),
        ("print('x')\nraise SystemExit(3)", "", ("x\n", 3)),
        ("print('x')\nraise SystemExit('no')", "", ("x\n", 1)),
        ("print('x')\n1/0", "", ("x\n", 1)),
        ("if __name__ == '__main__': print(input())", "main\n", ("main\n", 0)),
        ("print('x' * 1_000_000)", "", ("x" * 1_000_000 + "\n", 0)),
        ("x = (", "", ("", 1)),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_script_reads_and_prints(
    name: str, source: str, stdin: str, expected: tuple[str, int]
) -> None:
    found = printed(source, stdin, Limits(), started(name))
    assert (found.text, found.code) == expected


def test_a_long_input_is_read_whole() -> None:
    text = "1234567890\n" * 500_000
    assert printed("import sys\nprint(len(sys.stdin.read()))", text).text == f"{len(text)}\n"


def test_a_script_is_ended_by_its_limits() -> None:
    for source, how in (
        ("while True: pass", "timed out"),
        ("input(); import os; os.abort()", "ended"),
    ):
        with pytest.raises(Failed) as failed:
            printed(source, "\n", QUICK)
        assert failed.value.how == how


def test_numpy_is_there_as_the_authors_have_it() -> None:
    with opened() as program:
        program.run("import numpy as np\ndef f(): return np.arange(3).sum(), np.float64(.5)")
        assert program.call("f") == (3, 0.5)


def test_sets_of_texts_have_one_order_in_every_run() -> None:
    source = "def f(): return list({str(n) for n in range(50)})"
    orders = []
    for _ in range(2):
        fresh = Host()
        with opened(where=fresh) as program:
            program.run(source)
            orders.append(program.call("f"))
        fresh.close()
    assert orders[0] == orders[1]


ALONE = """
import fcntl, os
def opened():
    found = []
    for fd in range(3000):
        try:
            fcntl.fcntl(fd, fcntl.F_GETFD)
            found.append(fd)
        except OSError:
            pass
    return found
def leads(): return os.getsid(0) == os.getpgid(0) == os.getpid()
def umask(): return os.umask(0)
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_program_holds_nothing_open_and_leads_a_session_of_its_own(name: str) -> None:
    with opened(QUICK, started(name)) as program:
        program.run(ALONE)
        assert program.call("opened") == [0, 1, 2, 3]
        assert program.call("leads") is True
        assert program.call("umask") == 0o077


def test_programs_run_side_by_side_from_many_threads() -> None:
    def work(number: int) -> int:
        with opened() as program:
            program.run(f"def f(x): return x + {number}")
            return int(program.call("f", 1000))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(60))) == [1000 + number for number in range(60)]


def test_no_more_programs_run_at_once_than_there_are_processors() -> None:
    running, most, lock = [0], [0], threading.Lock()

    def work(_: int) -> None:
        with opened():
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.05)
            with lock:
                running[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert most[0] <= host.width()


def test_a_zygote_that_died_is_started_again() -> None:
    first = host.current()
    os.kill(first.process, signal.SIGKILL)
    os.waitid(os.P_PID, first.process, os.WEXITED | os.WNOWAIT)  # a loaded machine takes its time
    with opened() as program:
        program.run("x = 1")
    assert host.current() is not first


def test_a_sandbox_that_cannot_start_is_not_tried_for_every_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[int] = []

    def fail() -> Host:
        tried.append(1)
        raise SandboxError("no sandbox can be started here")

    monkeypatch.setattr(host, "_current", None)
    monkeypatch.setattr(host, "_failure", (0.0, ""))
    monkeypatch.setattr(host, "Host", fail)
    for _ in range(3):
        with pytest.raises(SandboxError, match="no sandbox"), opened():
            pass
    assert len(tried) == 1


def test_a_process_that_was_forked_has_a_zygote_of_its_own() -> None:
    with opened() as program:
        program.run("x = 1")
    code = (
        "import os, sys\nfrom evalkit.sandbox.program import opened\n"
        "def use():\n    with opened() as p:\n        p.run('def f(): return 7')\n"
        "        return p.call('f')\n"
        "assert use() == 7\nchild = os.fork()\nif child == 0:\n    os._exit(use())\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\nassert use() == 7\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


KILLED = """
import sys, threading
from evalkit.sandbox.host import Host
from evalkit.sandbox.program import opened
where = Host([{kind!r}])
def hang():
    with opened(where=where) as program:
        print(where.name, flush=True)
        program.run("import time\\nwhile True: time.sleep(1)")
threading.Thread(target=hang, daemon=True).start()
threading.Event().wait()
"""


@pytest.mark.parametrize("name", NAMES)
def test_nothing_outlives_an_evalkit_that_is_killed(name: str) -> None:
    started(name)
    command = [sys.executable, "-c", KILLED.format(kind=NAMES[name])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ours:
        assert ours.stdout is not None
        mark = ours.stdout.readline().strip()
        time.sleep(0.2)
        assert len(list(processes(mark))) >= 2
        ours.kill()
    deadline = time.monotonic() + 10
    while list(processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not list(processes(mark))


FORBIDDEN = """
from evalkit.sandbox import kernel, seccomp
kernel.set_process(kernel.NO_NEW_PRIVILEGES, 1)
seccomp.NEVER, seccomp.NETWORK = {"unshare": (272, 97), "mount": (165, 40)}, {}
seccomp.apply(processes=True, reachable=False)
from evalkit.sandbox.host import Host
from evalkit.sandbox.program import opened
where = Host()
with opened(where=where) as program:
    program.run("def f(): return 7")
    assert program.call("f") == 7
print(where.walls)
where.close()
"""


def test_where_namespaces_are_forbidden_the_next_best_is_taken() -> None:
    command = [sys.executable, "-c", FORBIDDEN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith(("seccomp", "landlock"))
    assert "namespaces" not in done.stdout


def test_what_is_within_reach_is_said() -> None:
    assert started("bare").walls.within_reach == [
        "the network",
        "files that your user may read",
        "files that your user may write",
        "other processes of your user",
    ]
    assert started("namespaces").walls.within_reach == []


def test_a_sandbox_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match=r"no sandbox can be started here \(bubblewrap: bwrap"):
        Host([("bubblewrap",)])


def test_the_numbers_of_system_calls_are_the_kernels() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    generic = Path("/usr/include/asm-generic/unistd.h")
    if not header.exists() or not generic.exists():
        pytest.skip("the kernel's headers are not installed")
    tables = [
        dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text())),
        dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", generic.read_text())),
    ]
    named = [*seccomp.NETWORK.items(), *seccomp.PROCESSES.items(), *seccomp.SIGNALS.items()]
    named += [*seccomp.NEVER.items(), *seccomp.LABELS.items(), ("clone", seccomp.CLONE)]
    named += [("clone3", seccomp.CLONE3), ("kill", seccomp.KILL), ("tgkill", seccomp.TGKILL)]
    named += [("prlimit64", seccomp.PRLIMIT)]
    for name, numbers in named:
        for number, table in zip(numbers, tables, strict=True):
            assert name not in table or number == int(table[name]), name
            assert name in table or number == -1 or name == "fchmodat2", name


def test_the_example_in_the_documents_runs() -> None:
    page = (Path(__file__).parents[1] / "docs/sandbox.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(example, {})
