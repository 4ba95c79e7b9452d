#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs suites of tests, shows what they say, and adds up what they count.

    tests/check.py [--fuzz-seconds N] [--beside SUITE] SUITE...

Every suite ends in a line "N passed, N failed, N skipped"; so does the whole. A
program that dies, or that counts nothing, is a failed test. Exit status 1 when
anything failed.

The lab has two tiers: a test that is marked long (@pytest.mark.long) is left to `make check-long`; how many were left
is said at the end. How long the lab's tests took is in build/durations.txt, the longest are shown.
"""
import argparse
import collections
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONFORMANCE = os.environ.get("CONFORMANCE", os.path.join(ROOT, "../shared/conformance"))
FUZZ_SECONDS = 8
CORES = os.cpu_count() or 1
LAB_WORKERS = CORES + 1  # tests of the lab mostly wait; each has namespaces of its own
AGAIN_MAX = 3  # of the lab's tests; more are no accident
AGAIN_TIMES = 5  # each of them must pass alone
LONGEST = 12  # tests whose times are shown
FLAKE_TIMES = int(os.environ.get("TIMES", 10))
FLAKE_WORKERS = 3 * LAB_WORKERS  # three times the normal load
FLAKE_MAX = 3  # failures of all tests in all rounds


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = self.left = 0
        self.names = []  # of what failed
        self.reasons = []  # of what was skipped
        self.again = []  # what failed beside others, and how often it passed alone
        self.durations = []  # (seconds, test) of the lab

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.left += other.left
        self.names += other.names
        self.reasons += other.reasons
        self.again += other.again
        self.durations += other.durations

    def fail(self, name):
        self.failed += 1
        self.names.append(name)

    def skip(self, name):
        self.skipped += 1
        self.reasons.append(name)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


TAP = re.compile(r"^\s*(not ok|ok) \d+ (?:- )?(# SKIP )?(.*)$")  # cmocka: "not ok 6 # SKIP name"
PYTEST_END = re.compile(r"^=* *\d+ (passed|failed|errors?|skipped)\b.* in [0-9.]+s")
PYTEST = re.compile(r"(\d+) (passed|failed|error|errors|skipped)\b")
PYTEST_LEFT = "left out: "  # tests/conftest.py
PYTEST_TIME = re.compile(r"^([0-9.]+)s (?:setup|call|teardown) +(\S+::.*)$")
PYTEST_FAILED = re.compile(r"^FAILED (\S+::\w+(?:\[.*?\](?= - |$))?)")
PLAIN = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")


def run(count, name, command, reader, env=None, timeout=1500):
    """Runs one program; @reader(count, line) sees every line of its output."""
    before = count.passed + count.failed + count.skipped, count.failed
    process = subprocess.Popen(["timeout", "-k", "10", str(timeout), *command], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace",
                               env={**os.environ, **(env or {})})
    lines = []
    for line in process.stdout:
        lines.append(line)
        reader(count, line.rstrip("\n"))
    status = process.wait()
    if status == 124:
        count.fail(f"{name}: not done after {timeout} s")
    ran = count.passed + count.failed + count.skipped > before[0]
    if status and count.failed == before[1]:
        count.fail(f"{name}: exit status {status}")
    elif not ran:
        count.fail(f"{name}: counted no test")
    if status or count.failed > before[1]:
        sys.stdout.write("".join(lines[-400:]))
        sys.stdout.flush()


def tap(prefix):
    def read(count, line):
        m = TAP.match(line)
        if not m:
            return
        if m[2]:
            count.skip(f"{prefix}: {m[3]}")
        elif m[1] == "ok":
            count.passed += 1
        else:
            count.fail(f"{prefix}: {m[3]}")
    return read


def plain(prefix):
    def read(count, line):
        m = PLAIN.match(line)
        if m:
            count.passed += int(m[1])
            for _ in range(int(m[2])):
                count.fail(prefix)
            count.skipped += int(m[3] or 0)
    return read


def pytest_reader(count, line):
    if line.startswith(("FAILED ", "ERROR ")):
        count.names.append(line)
    elif line.startswith("SKIPPED "):
        count.reasons.append(line)
    elif line.startswith("| "):  # the table of tests/nat
        print(line)
    elif line.startswith(PYTEST_LEFT):
        count.left += int(line.removeprefix(PYTEST_LEFT))
    elif PYTEST_TIME.match(line):
        seconds, test = PYTEST_TIME.match(line).groups()
        count.durations.append((float(seconds), test))
    elif PYTEST_END.match(line):
        for number, what in PYTEST.findall(line):
            if what == "passed":
                count.passed += int(number)
            elif what == "skipped":
                count.skipped += int(number)
            else:
                count.failed += int(number)


def programs(count, build, sources, top=""):
    """The programs of the tests whose sources match, in a build folder. What was built of a source that is gone is no
    test; a source that was not built is a failed one."""
    found = []
    for source in sorted(glob.glob(os.path.join(ROOT, sources), recursive=True)):
        program = os.path.join(build, os.path.relpath(source, os.path.join(ROOT, top))).removesuffix(".c")
        if os.access(os.path.join(ROOT, program), os.X_OK):
            found.append(os.path.join(ROOT, program))
        else:
            count.fail(f"{program}: not built")
    if not found:
        count.fail(f"{build}: no programs of {sources}")
    return found


def each(count, job, items, at_once=1):
    """job(count, item) of every item, each with a count of its own."""
    def counted(item):
        own = Count()
        job(own, item)
        return own
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for own in pool.map(counted, items):
            count.add(own)


def cmocka(count, build, sources, what, wrapper=(), env=None, without=(), at_once=1, seconds=120):
    def job(own, program):
        name = os.path.basename(program)
        if name in without:
            own.skip(f"{what} {name}: {without[name]}")
            return
        run(own, name, [*wrapper, program], tap(f"{what} {name}"), {"CMOCKA_MESSAGE_OUTPUT": "TAP", **(env or {})},
            timeout=seconds)
    each(count, job, programs(count, build, sources), at_once)


def make(count, *args):
    """Builds; a build that fails is one failed test, with its output."""
    done = subprocess.run(["make", "--no-print-directory", f"-j{CORES}", *args], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout)
        count.fail("make " + " ".join(args))
    return not done.returncode


UNIT = "tests/unit/**/test_*.c"


def unit(count, args):
    cmocka(count, "build", UNIT, "unit")


def sodium(count, args):
    if make(count, "AEAD=sodium", "unit-programs"):
        cmocka(count, "build/variant-sodium", UNIT, "unit (AEAD=sodium)")


SAN_ENV = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


def san(count, args):
    if make(count, "SAN=1", "unit-programs"):
        cmocka(count, "build/variant-san", UNIT, "unit (sanitizers)", env=SAN_ENV)


NOT_EMULATED = {  # by qemu-user
    "test_secret_pool": "/proc/self/smaps is the emulator's own",
    "test_sandbox": "its system calls and mounts are the emulator's",
    "test_trial": "its limits of memory are the emulator's",
    "test_policy_budget": "it takes minutes there, and counts steps of pure code",
}


def arm64(count, args):
    """The unit tests for another machine, emulated; the BPF side is the same byte code. With the libraries of
    libc6:arm64 only, not with the linker of the cross-compiler's libc6: two C libraries in one process hang."""
    if make(count, "CROSS=aarch64-linux-gnu-", "unit-programs"):
        cmocka(count, "build/variant-aarch64-linux-gnu", UNIT, "unit (arm64)",
               ["qemu-aarch64"], without=NOT_EMULATED, at_once=CORES, seconds=400)


def style(count, args):
    """One test: nothing to say about any file. Long files and functions are told, and no failure."""
    done = subprocess.run(["tests/style.sh"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, end="")
    if done.returncode:
        count.fail("style")
    else:
        count.passed += 1


def bpf(count, args):
    cmocka(count, "build", "tests/bpf/test_*.c", "bpf")


def made_cases():
    """Cases of our own for the same program, in a folder."""
    folder = os.path.join(ROOT, "build/tests/cases")
    os.makedirs(folder, exist_ok=True)
    for name, words in (("language", []), ("model", ["1", "1000"])):
        with open(os.path.join(folder, f"{name}.jsonl"), "w", encoding="ascii") as out:
            subprocess.run([f"tests/policy/{name}.py", *words], cwd=ROOT, stdout=out, check=True)
    return folder


def conformance(count, args):
    run(count, "conformance (our own)", ["build/tests/conformance", made_cases()], plain("conformance (our own)"))
    if not os.path.isdir(CONFORMANCE):
        count.skip(f"conformance: no folder {CONFORMANCE}")
        return
    run(count, "conformance", ["build/tests/conformance", CONFORMANCE], plain("conformance"))


def fuzz(count, args):
    def job(own, program):
        name = os.path.basename(program)
        corpus = os.path.join(ROOT, "build/fuzz/corpus", name)
        os.makedirs(corpus, exist_ok=True)
        seeds = [d for d in [os.path.join(ROOT, "tests/fuzz/seeds", name)] if os.path.isdir(d)]

        def ended(own, line):
            if re.match(r"^Done \d+ runs", line):
                own.passed += 1
        run(own, name, [program, f"-max_total_time={args.fuzz_seconds}", "-print_final_stats=0", "-verbosity=1",
                        "-artifact_prefix=build/fuzz/", corpus, *seeds], ended)
    found = programs(count, "build", "tests/fuzz/fuzz_*.c", "tests")
    each(count, job, found, CORES)


def pytest_run(count, env, workers, *select, timeout=1500):
    run(count, "pytest", ["/usr/bin/python3", "-m", "pytest", "-n", str(workers), "--dist", "loadgroup", "-q", "-rfEs",
                          "-p", "no:cacheprovider", "--durations=0", "--durations-min=1", *select],
        pytest_reader, env, timeout)


def pytest(count, env=None, *select):
    """The lab asks for times: a client gets through within 1 s, a revoked rule cuts within 2 s. They are asked of the
    gateway, not of a machine that does other things: what fails beside others is run again alone, several times, and
    named with how often it passed. One failure there is a failure."""
    own = Count()
    pytest_run(own, env, LAB_WORKERS, *select)
    failed = failed_tests(own)
    if own.failed == len(failed) == len(own.names) and 0 < own.failed <= AGAIN_MAX:
        passed = collections.Counter({test: AGAIN_TIMES for test in failed})
        alone = Count()
        for _ in range(AGAIN_TIMES):
            pytest_run(alone, env, 0, *failed)
        passed.subtract(failed_tests(alone))
        own.again = [f"{test}: {passed[test]} of {AGAIN_TIMES}" for test in failed]
        if alone.passed == AGAIN_TIMES * len(failed):
            own.passed, own.failed, own.names = own.passed + len(failed), 0, []
    count.add(own)


def failed_tests(count):
    return [m[1] for m in map(PYTEST_FAILED.match, count.names) if m]


def say_durations(count):
    """The longest are shown, all of a second and more are in a file."""
    if not count.durations:
        return
    lines = [f"{seconds:7.1f} s  {test}" for seconds, test in sorted(count.durations, reverse=True)]
    with open(os.path.join(ROOT, "build/durations.txt"), "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
    print("\n".join(["the longest tests (more: build/durations.txt):", *lines[:LONGEST]]))


def peers(count, args):
    """The real peers, built once a machine: minutes the first time, nothing later."""
    for script in ("tests/lab/peers.sh", "tests/lab/tailnet_peers.sh", "tests/lab/others.sh"):
        done = subprocess.run([script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(done.stdout)
            count.fail(f"{script}: exit status {done.returncode}")
        else:
            count.passed += 1


def with_peers(suite):
    """What needs the peers builds them, unless they were built beside other suites."""
    def run_with(count, args):
        built = Count()
        if "peers" not in args.beside + args.suites:
            peers(built, args)
        if built.failed:
            count.add(built)
        else:
            suite(count, args)
    run_with.__name__ = suite.__name__
    return run_with


@with_peers
def lab(count, args):
    pytest(count, None, "-m", "not long", "tests/nat", "tests/lab")


@with_peers
def lab_long(count, args):
    """What check leaves out, and all of the sweep."""
    sweep, hours = "tests/lab/test_sweep.py", 6 * 3600
    pytest_run(count, None, LAB_WORKERS, "-m", "long", "--ignore", sweep, "tests/nat", "tests/lab", timeout=hours)
    pytest_run(count, {"SWEEP_EVERY": os.environ.get("SWEEP_EVERY", "1")}, LAB_WORKERS, sweep, timeout=hours)
    count.left = 0  # they are the others


@with_peers
def flake_rate(count, args):
    """Each test of the lab so many times at three times the normal load; how often each of them failed, and all. A
    few failures in all rounds are allowed: then the suite has passed."""
    rounds, failures = Count(), collections.Counter()
    select = args.select or ["-m", "not long", "tests/nat", "tests/lab"]
    for turn in range(FLAKE_TIMES):
        own = Count()
        pytest_run(own, None, FLAKE_WORKERS, *select, timeout=2 * 3600)
        failures.update(failed_tests(own) or own.names)
        print(f"round {turn + 1} of {FLAKE_TIMES}: {own}", flush=True)
        rounds.add(own)
    for test, failed in failures.most_common():
        print(f"failed {failed} of {FLAKE_TIMES}: {test}")
    total = rounds.passed + rounds.failed
    print(f"flake rate: {rounds.failed} of {total}, at most {FLAKE_MAX} allowed")
    count.skipped, count.reasons, count.left = rounds.skipped, sorted(set(rounds.reasons)), rounds.left // FLAKE_TIMES
    count.durations = rounds.durations
    count.passed = rounds.passed
    if rounds.failed > FLAKE_MAX or not rounds.passed:
        count.failed, count.names = rounds.failed, list(failures)


def san_lab(count, args):
    """The lab once under ASan and UBSan."""
    if make(count, "SAN=1", "all"):
        pytest(count, {"SLUICE": os.path.join(ROOT, "build/variant-san/sluice"), **SAN_ENV},
               "-m", "not long", "tests/lab/test_forward.py", "tests/lab/test_life.py", "tests/lab/test_policy.py")
        count.left = 0  # told by the lab


def in_machine(count, what, *command, timeout=3000):
    """A script of tests/kernels: what runs in an emulated machine counts as cmocka does, or by lines of "ok   "."""
    def read(count, line):
        tap(what)(count, line)
        if re.match(r"^ok   ", line):
            count.passed += 1
        elif line.startswith("FAILED: "):
            count.fail(f"{what}: {line}")
    run(count, what, command, read, {"CMOCKA_MESSAGE_OUTPUT": "TAP"}, timeout)


def kernels(count, args):
    """Linux 6.1, the oldest supported, in an emulated machine."""
    in_machine(count, "linux 6.1", "tests/kernels/check.sh")


def clangs_here(count, args):
    """The programs of every clang that is installed: this kernel takes them, and they work. The builds."""
    builds = {}
    for clang in (f"clang-{n}" for n in range(14, 30)):
        if shutil.which(clang) and make(count, f"CLANG={clang}", "all", "bpf-programs"):
            builds[clang] = f"build/variant-{clang}"
            cmocka(count, builds[clang], "tests/bpf/test_*.c", f"bpf ({clang})")
    if len(builds) < 2:
        count.fail("no two clangs: make deps-check")
    return builds


def clangs(count, args):
    """And what the oldest and the newest of them make, on the oldest and the newest kernel of a supported Debian."""
    builds = clangs_here(count, args)
    for clang in list(builds)[:1] + list(builds)[1:][-1:]:
        for series in ("6.1", "6.12"):
            in_machine(count, f"{clang}, linux {series}", "tests/kernels/check.sh", "-f", "-k", series, builds[clang])


def other_release(count, args):
    """The other Debian: its compilers, libraries and clangs, in a chroot."""
    run(count, "other release", ["tests/release.sh"], plain("other release"), timeout=7200)


SUITES = {f.__name__.replace("_", "-"): f for f in
          (style, unit, sodium, bpf, conformance, fuzz, san, peers, lab, san_lab, lab_long, flake_rate, arm64, kernels,
           clangs_here, clangs, other_release)}


ALONE = (lab, san_lab, lab_long, flake_rate)  # their peers have deadlines of their own


def run_suite(name, args):
    count, start = Count(), time.monotonic()
    SUITES[name](count, args)
    if not count.passed + count.failed:  # skipped altogether, or without a program to run
        count.fail(f"{name}: counted no test")
    print(f"{name:12} {count}   {time.monotonic() - start:.0f} s", flush=True)
    return count


def counts(args):
    """Of suite after suite; the one beside them is waited for before those that are to be alone."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        beside = [pool.submit(run_suite, name, args) for name in args.beside]
        for name in args.suites:
            while beside and SUITES[name] in ALONE:
                yield beside.pop().result()
            yield run_suite(name, args)
        yield from (b.result() for b in beside)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fuzz-seconds", type=int, default=FUZZ_SECONDS)
    parser.add_argument("--beside", action="append", default=[], choices=list(SUITES), metavar="SUITE",
                        help="it leaves a core to others")
    parser.add_argument("--select", action="append", metavar="WORD", help="for flake-rate: pytest's words, not all")
    parser.add_argument("suites", nargs="+", choices=list(SUITES), metavar="SUITE")
    args = parser.parse_args()
    total = Count()
    for count in counts(args):
        total.add(count)
    for reason in total.reasons:
        print(f"skipped: {reason}")
    say_durations(total)
    if total.left:
        print(f"left to make check-long: {total.left} tests (pytest -m long --collect-only tests/lab tests/nat)")
    for test in total.again:
        print(f"failed beside others, passed alone {test}")
    for failed in total.names:
        print(f"failed: {failed}")
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
