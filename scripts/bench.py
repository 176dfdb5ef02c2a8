"""Measures Mailboat beside Postfix + Dovecot and Cyrus in one run, round after round: medians and ratios.

usage: bench.py PROGRAMS ROUNDS OUTPUT.md [CYRUS-PACKAGE...]

PROGRAMS is the folder of the built programs. Everything lives in a temporary folder (BENCH_FOLDER names where) and listens
on loopback ports that were free. With BENCH_SHORT=1 the counts are so small that the figures mean nothing.

What fails is said in the report, and the rest goes on; the exit status is then 1. So it is when a figure is missing.
"""

import contextlib
import functools
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from bench_peers import USERS, Cyrus, Failed, Mailboat, PostfixDovecot, run, wait_for
from bench_report import report, workloads

SHORT = os.environ.get("BENCH_SHORT") == "1"
# For one workload with one peer.
PATIENCE_SECONDS = 60 if SHORT else 300
# For what comes before: each user's first log-in hashes a password, and debug programs on a busy machine take long for it.
WARM_SECONDS = 300
SYNC_CALLS = "fsync,fdatasync,sync_file_range,msync,sync,syncfs"
# Messages that are appended for a peer that takes none by SMTP.
FILLED = 40 if SHORT else 2000
NEEDED_BYTES = (1 if SHORT else 4) << 30
BY_HAND = "## Measured by hand"


def descendants(roots):
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def pss_kilobytes(roots):
    total = 0
    for pid in descendants(roots):
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total


def cpu_seconds(roots):
    """Of all processes below the roots, those that ended and were waited for included."""
    ticks = 0
    for pid in descendants(roots):
        try:
            ticks += sum(int(part) for part in pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:15])
        except OSError:
            pass
    return ticks / os.sysconf("SC_CLK_TCK")


class Syncs:
    """Counts the sync calls of all processes below the roots, and of those that they start, by strace."""

    def __init__(self, roots, folder):
        self.calls = folder / "strace"
        pids = sorted(descendants(roots))
        command = ["strace", "-f", "-q", "-e", f"trace={SYNC_CALLS}", "-e", "signal=none", "-o", self.calls]
        for pid in pids:
            command += ["-p", str(pid)]
        self.strace = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for("strace did not take hold of the server", lambda: all(self.holds(pid) for pid in pids))
        except Failed:
            self.end()
            raise

    def holds(self, pid):
        """True also for a process that has ended meanwhile."""
        try:
            tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
            return all(f"TracerPid:\t{self.strace.pid}\n" in (task / "status").read_text() for task in tasks)
        except OSError:
            return not pathlib.Path(f"/proc/{pid}").exists()

    def end(self):
        """The number of calls; a call that was interrupted by others' lines is counted where it began."""
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait()
        call = re.compile(rf"^\d+\s+({SYNC_CALLS.replace(',', '|')})\(")
        return sum(bool(call.match(line)) for line in self.calls.read_text().splitlines())


def load(workload):
    """What the load generator calls it: `relay` also for `syncs-relay` and `relay-256k`."""
    name = workload.name.removeprefix("syncs-")
    return name.split("-")[0] if name.startswith(("smtp-", "relay-")) else name


def able(peer, workload):
    return peer.takes is None or load(workload) in peer.takes


def generator(peer, programs, workload, clients, messages, extra):
    command = [programs / "load-generator", workload, "--clients", clients, "--messages", messages, *extra]
    for name, port in peer.ports.items():
        command += [f"--{name}", f"127.0.0.1:{port}"]
    return [str(part) for part in command]


def figures(text):
    return {name: float(value) for name, value in (line.split() for line in text.splitlines() if " " in line)}


def drive(command, prepared, worked):
    """Runs the load generator, calls `prepared` and `worked` while it waits, and returns its figures."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        patience = threading.Timer(PATIENCE_SECONDS, load.kill)
        patience.start()
        try:
            for step, look in (("prepared", prepared), ("worked", worked)):
                if load.stdout.readline().strip() != step:
                    raise Failed(f"{load.stderr.read().strip() or 'the load generator did not end'}")
                look()
                load.stdin.write("\n")
                load.stdin.flush()
            said, complaint = load.stdout.read(), load.stderr.read()
            if load.wait():
                raise Failed(complaint.strip() or "the load generator did not end")
            return figures(said)
        finally:
            load.kill()
            patience.cancel()


def measure(peer, programs, folder, workload):
    """The figures of one workload with one peer."""
    plan = workload._asdict() | workload.peers.get(peer.name, {})
    name = load(workload)
    extra = list(plan["extra"])
    if name == "idle-tls":
        extra += ["--authority", folder / "mailboat/config/certs/ca.pem"]
    command = generator(peer, programs, name, plan["clients"], plan["messages"], extra)
    if workload.name.startswith("syncs-"):
        syncs = Syncs(peer.roots(), folder)
        try:
            # some are made after the last answer
            found = drive(command, lambda: None, lambda: time.sleep(0.5))
        finally:
            calls = syncs.end()
        return {"syncs": calls / found["done"]}
    if "--filled" in extra:
        peer.fill(programs, f"u{plan['clients']}", plan["messages"])
    if workload.fresh:
        peer.stop()
        peer.start()
        time.sleep(0.2 if SHORT else 2)  # for the processes that it starts beforehand
    read = pss_kilobytes if name.startswith("idle") else cpu_seconds
    states = []

    def look():
        states.append(read(peer.roots()))
    found = drive(command, look, look)
    grown = (states[1] - states[0]) / found["done"]
    return found | ({"kilobytes_each": grown} if name.startswith("idle") else {"cpu_ms": grown * 1000})


def started(kinds, programs, folder, failures, peers):
    """Starts what can be started, and adds it to `peers`; each mailbox is opened once."""
    for name, kind in kinds.items():
        try:
            peer = kind()
            peers.append(peer)
            peer.start()
            run(*generator(peer, programs, "warm", USERS, 0, ()), timeout=WARM_SECONDS)
            if "smtp" not in peer.ports:
                run(*generator(peer, programs, "append", USERS, FILLED, ()), timeout=WARM_SECONDS)
        except (Failed, OSError, subprocess.SubprocessError) as error:
            failures.append(f"{name} was left out of a round: {error}")
            if peers and peers[-1].name == name:
                stopped(peers.pop(), failures)


def stopped(peer, failures):
    try:
        peer.stop()
    except (Failed, OSError, subprocess.SubprocessError) as error:
        failures.append(f"{peer.name}: {error}")


def one_round(folder, programs, packages, plan, results, floor, failures, last):
    folder.chmod(0o755)
    disk = folder / "disk"
    disk.mkdir()
    command = [programs / "load-generator", "disk", "--clients", 20, "--messages", 40 if SHORT else 2000, "--folder", disk]
    floor.append(figures(run(*command))["files_per_second"])
    counts = {workload.name: workload.messages for workload in plan}
    kinds = {
        Mailboat.name: functools.partial(Mailboat, folder, programs, counts["idle"]),
        PostfixDovecot.name: functools.partial(PostfixDovecot, folder, folder / "mailboat/config/certs", counts["idle"], counts["idle-smtp"]),
    }
    if packages:
        kinds[Cyrus.name] = functools.partial(Cyrus, folder, packages)
    peers = []
    try:
        started(kinds, programs, folder, failures, peers)
        for number, workload in enumerate(plan):
            if workload.rounds == "last" and not last:
                continue
            # the order changes, so that none always finds the disk warm
            for peer in peers if (number + len(floor)) % 2 else reversed(peers):
                if not able(peer, workload):
                    continue
                begin = time.monotonic()
                try:
                    for figure, value in measure(peer, programs, folder, workload).items():
                        results.setdefault((workload.name, figure, peer.name), []).append(value)
                    outcome = ""
                except (Failed, OSError, subprocess.SubprocessError) as error:
                    outcome = f": {error}"
                    failures.append(f"{peer.name}, {workload.name}{outcome}")
                print(f"  {workload.name}, {peer.name}, {time.monotonic() - begin:.1f} s{outcome}", file=sys.stderr, flush=True)
    finally:
        for peer in peers:
            stopped(peer, failures)


def version(*command):
    return run(*command).split("\n")[0].strip()


def versions(programs, packages):
    said = [f"Mailboat {version(programs / 'smtpd', '--version').split()[-1]}", f"Postfix {version('postconf', '-h', 'mail_version')}",
            f"Dovecot {version('dovecot', '--version').split()[0]}"]
    if packages:
        said.append(f"Cyrus {version('dpkg-deb', '--field', packages[0], 'Version').split('-')[0]}")
    return ", ".join(said)


def by_hand(output):
    """The part of the report that was measured otherwise, and that stays: str, from its heading on, or empty."""
    old = output.read_text() if output.exists() else ""
    at = old.find(BY_HAND)
    return "\n" + old[at:] if at >= 0 else ""


def main():
    programs, rounds, output = pathlib.Path(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
    packages = sys.argv[4:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped then, too
    free = shutil.disk_usage(os.environ.get("BENCH_FOLDER") or tempfile.gettempdir()).free
    if free < NEEDED_BYTES:
        sys.exit(f"bench: {free >> 20} MiB are free for the servers' folders, {NEEDED_BYTES >> 20} are needed")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a session is a descriptor, here and there
    plan = workloads(SHORT)
    peers = [Mailboat, PostfixDovecot] + ([Cyrus] if packages else [])
    results, floor, failures = {}, [], []
    with contextlib.ExitStack() as kept:
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            kept.close()  # the round before
            where = os.environ.get("BENCH_FOLDER")
            folder = tempfile.TemporaryDirectory(prefix="mailboat-bench-", dir=where, ignore_cleanup_errors=True)
            one_round(pathlib.Path(kept.enter_context(folder)), programs, packages, plan, results, floor, failures, number + 1 == rounds)
        for peer in peers:
            for workload in (workload for workload in plan if able(peer, workload)):
                for row in workload.rows:
                    if (workload.name, row.figure, peer.name) not in results:
                        failures.append(f"{peer.name}: no figure for \"{row.text}\"")
        text = report(rounds, plan, [peer.name for peer in peers], results, floor, failures, versions(programs, packages))
        # What other benches wrote stays, too. The last folder goes after this, since many files take their time.
        output.write_text(text + by_hand(output))
        print(text, flush=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
