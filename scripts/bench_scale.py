"""Large mailboxes, many who wait, and hostile clients: Mailboat beside Dovecot and Cyrus in one run.

usage: bench_scale.py PROGRAMS [MESSAGES [PART...]]

One server runs at a time, each in a folder that goes away with it, so that the disk has to hold one large mailbox only. The load
generator says what it begins and ends; the CPU time and the memory of all processes of the server are read at these steps.

All tables are printed. Each part has its own in docs/benchmarks.md, which is written when all servers did the part.
"""

import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import bench
import bench_document
from bench import cpu_seconds, pss_kilobytes
from bench_peers import USERS, Cyrus, Failed, Mailboat, PostfixDovecot, run

SHORT = os.environ.get("BENCH_SHORT") == "1"
PATIENCE_SECONDS = 3600
# Free bytes that a run leaves alone.
KEPT_BYTES = 15 << 30
WAKE, IDLE, HOSTILE, GOOD = (60, 60, 60, 20) if SHORT else (5000, 2000, 9000, 1000)
# As many as one process takes here: it leaves an eighth of its descriptors to the store, and more wait outside. The others have a
# process for each session, or for a few.
MOST = 80 if SHORT else min(50_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 7 // 8 - 100)
# What the others can do. Dovecot's processes share the inotify instances of their user, 128 by default, and without one they look
# for news each half minute only. Cyrus has a process of 3 MiB for each session.
WAKE_LIMITS, IDLE_LIMITS = {"Dovecot": 100, "Cyrus": 500}, {"Cyrus": 500}
# News of each user's mailbox, so often; Dovecot tells of each after half a second.
PASSES, PASSES_LIMITS = 2 if SHORT else 20, {"Dovecot": 2}


def generator(peer, programs, workload, *extra):
    command = [programs / "load-generator", workload, *extra]
    for name, port in peer.ports.items():
        command += [f"--{name}", f"127.0.0.1:{port}"]
    return [str(part) for part in command]


def drive(command, peer):
    """What the generator says, and for each part that it names the CPU time (`NAME_cpu_ms`) and the growth of memory (`NAME_kib`)."""
    found, began = {}, {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        patience = threading.Timer(PATIENCE_SECONDS, load.kill)
        patience.start()
        try:
            for line in load.stdout:
                words = line.split()
                if words[0] == "begin":
                    began[words[1]] = cpu_seconds(peer.roots()), pss_kilobytes(peer.roots())
                elif words[0] == "end":
                    cpu, memory = began[words[1]]
                    found[f"{words[1]}_cpu_ms"] = (cpu_seconds(peer.roots()) - cpu) * 1000
                    found[f"{words[1]}_kib"] = pss_kilobytes(peer.roots()) - memory
                elif words[0] == "restart":
                    peer.stop()
                    peer.start()
                elif words[0] in ("prepared", "worked"):
                    found.setdefault("memory", []).append(pss_kilobytes(peer.roots()))
                else:
                    found[words[0]] = float(words[1])
                    continue
                load.stdin.write("\n")
                load.stdin.flush()
            if load.wait():
                raise Failed(f"{' '.join(command[1:3])}: {load.stderr.read().strip() or 'the load generator did not end'}; so far {found}")
        finally:
            load.kill()
            patience.cancel()
    return found


def known_as(peer):
    """Dovecot comes with Postfix, of which nothing is measured here."""
    return "Dovecot" if peer.name == PostfixDovecot.name else peer.name


def limited(count, limits, peer):
    return min(count, limits.get(known_as(peer), count))


def with_limits(count, limits):
    return "".join([str(count)] + [f"; {name}: {least}" for name, least in limits.items() if least < count])


def mailbox(peer, programs, messages, folder):
    clients = 4 if SHORT else 10
    return drive(generator(peer, programs, "scale", "--clients", clients, "--messages", messages), peer)


def wake(peer, programs, messages, folder):
    clients, waiting, passes = 10 if SHORT else USERS, limited(WAKE, WAKE_LIMITS, peer), limited(PASSES, PASSES_LIMITS, peer)
    return drive(generator(peer, programs, "wake", "--clients", clients, "--messages", waiting, "--passes", passes), peer)


def idle(peer, programs, messages, folder):
    found = {}
    for workload, figure in (("idle", "plain_kib"), ("idle-tls", "tls_kib")):
        if workload == "idle-tls" and "imaps" not in peer.ports:
            continue
        extra = ["--authority", folder / "mailboat/config/certs/ca.pem"] if workload == "idle-tls" else []
        counts = {figure: limited(IDLE, IDLE_LIMITS, peer)} | ({f"most_{figure}": MOST} if peer.name == Mailboat.name else {})
        for name, sessions in counts.items():
            peer.stop()
            peer.start()
            time.sleep(2)
            one = drive(generator(peer, programs, workload, "--clients", 20, "--messages", sessions, *extra), peer)
            before, after = one["memory"]
            found[name] = (after - before) / one["done"]
    return found


def hostile(peer, programs, messages, folder):
    found = {}
    for workload in ("hostile", "hostile-pop"):
        peer.stop()
        peer.start()
        time.sleep(1)
        one = drive(generator(peer, programs, workload, "--clients", GOOD, "--messages", HOSTILE, "--users", USERS), peer)
        found |= {f"{workload}_{name}": value for name, value in one.items()}
    return found


def rows(messages):
    """Part, text, unit, and the figure as a function of what was found."""
    def figure(name):
        return lambda found: found[name]

    def per(name, count):
        return lambda found: found[name] / found[count]

    return [
        ("mailbox", f"filling: {messages} messages by APPEND of 100 each, 10 sessions", "s", lambda f: f["fill_ms"] / 1e3),
        ("mailbox", "SELECT, first since the start of the server", "ms", lambda f: f["select_first_ms"]),
        ("mailbox", "the same: server CPU", "ms", lambda f: f["select_first_cpu_ms"]),
        ("mailbox", "SELECT again, median of 21", "ms", lambda f: f["select_ms"]),
        ("mailbox", "the same: server CPU", "ms", per("select_cpu_ms", "select_times")),
        ("mailbox", "UID FETCH 1:* (UID FLAGS)", "ms", lambda f: f["flags_ms"]),
        ("mailbox", "the same: server CPU", "ms", lambda f: f["flags_cpu_ms"]),
        ("mailbox", "FETCH 1:100000 ENVELOPE, first", "ms", lambda f: f["envelope_first_ms"]),
        ("mailbox", "the same: server CPU for a message", "µs", lambda f: f["envelope_first_cpu_ms"] * 1e3 / f["envelopes"]),
        ("mailbox", "the same, second", "ms", lambda f: f["envelope_second_ms"]),
        ("mailbox", "the same, second: server CPU for a message", "µs", lambda f: f["envelope_second_cpu_ms"] * 1e3 / f["envelopes"]),
        ("mailbox", "STORE of one flag, median of 21", "ms", lambda f: f["flag_ms"]),
        ("mailbox", "the same: server CPU", "ms", per("flag_cpu_ms", "flag_times")),
        ("mailbox", "SELECT with QRESYNC after ten changes, median of 21", "ms", lambda f: f["qresync_ms"]),
        ("mailbox", "the same: server CPU, with its STORE", "ms", lambda f: f["qresync_cpu_ms"] / f["qresync_times"]),
        ("mailbox", "SELECT with QRESYNC after ten expunges all over the mailbox, median of 21", "ms", lambda f: f["vanished_ms"]),
        ("mailbox", "the same: server CPU, with its STORE and EXPUNGE", "ms", lambda f: f["vanished_cpu_ms"] / f["vanished_times"]),
        *(row for name, said in (("sort_first", "SORT (DATE), first"), ("sort", "SORT (DATE), second"),
                                 ("thread_first", "THREAD REFERENCES, first"), ("thread", "THREAD REFERENCES, second"),
                                 ("expunge", "EXPUNGE of 1,000 side by side"))
          for row in (("mailbox", said, "ms", figure(f"{name}_ms")), ("mailbox", "the same: server CPU", "ms", figure(f"{name}_cpu_ms")))),
        ("wake", f"new mail until IDLE tells of it ({with_limits(WAKE, WAKE_LIMITS)} sessions wait): median", "ms", lambda f: f["p50_ms"]),
        ("wake", "the same, 95th of 100", "ms", lambda f: f["p95_ms"]),
        ("wake", "the same, 99th of 100", "ms", lambda f: f["p99_ms"]),
        ("wake", "the same: server CPU for one of them", "ms", per("wake_cpu_ms", "wake_times")),
        ("idle", f"memory of one idle session ({with_limits(IDLE, IDLE_LIMITS)} open; PSS)", "KiB", lambda f: f["plain_kib"]),
        ("idle", "the same inside TLS", "KiB", lambda f: f.get("tls_kib")),
        ("idle", f"memory of one idle session, {MOST} open in one process", "KiB", lambda f: f.get("most_plain_kib")),
        ("idle", "the same inside TLS", "KiB", lambda f: f.get("most_tls_kib")),
        *(row for workload, said in (("hostile", f"IMAP, FETCH by {GOOD} sessions"), ("hostile-pop", f"POP, LIST by {USERS} sessions"))
          for row in hostile_rows(workload, said)),
    ]


def hostile_rows(workload, said):
    def figure(name):
        return lambda found: found[f"{workload}_{name}"]

    return [
        ("hostile", f"{said}: median", "ms", figure("before_p50_ms")),
        ("hostile", f"the same beside {HOSTILE} hostile connections", "ms", figure("during_p50_ms")),
        ("hostile", "99th of 100, without them", "ms", figure("before_p99_ms")),
        ("hostile", "99th of 100, beside them", "ms", figure("during_p99_ms")),
        ("hostile", "memory for each hostile connection (PSS)", "KiB", lambda f: f[f"{workload}_hostile_kib"] / f[f"{workload}_hostile"]),
    ]


# The large mailbox last: what stored does with it is no part of what the others look at.
PARTS = {"wake": wake, "idle": idle, "hostile": hostile, "mailbox": mailbox}
# Cyrus has a process for each connection, of 3 MiB: 9,000 of them have no room here.
LEFT_OUT = {("Cyrus", "hostile")}
NAMES = ("Mailboat", "Dovecot", "Cyrus")


def peers(folder, programs, packages):
    """By name; Mailboat's certificates serve the others, too."""
    many = max(WAKE, IDLE, MOST, HOSTILE + GOOD)
    wanted = os.environ.get("BENCH_PEERS", ",".join(NAMES)).split(",")

    def mailboat():
        peer = Mailboat(folder, programs, many)
        for name, value in {"service.pop.maxsessions": many + 1000, "store.textindex": "no"}.items():
            run(programs / "configutil", "-o", name, "-v", value, env=os.environ | {"CONFIGROOT": str(peer.root / "config")})
        return peer

    ours = mailboat()
    kinds = {
        "Mailboat": lambda: ours,
        "Dovecot": lambda: PostfixDovecot(folder, ours.certificates, many, 100),
        "Cyrus": lambda: Cyrus(folder, packages),
    }
    return {name: kind for name, kind in kinds.items() if name in wanted and (name != "Cyrus" or packages)}


def free():
    return shutil.disk_usage(os.environ.get("BENCH_FOLDER") or tempfile.gettempdir()).free


def emptied(folder, name):
    for one in folder.iterdir():
        if one.name in {"Mailboat": (), "Dovecot": ("mail",), "Cyrus": ("cyrus",)}[name]:
            shutil.rmtree(one, ignore_errors=True)


def measure(folder, programs, packages, messages, parts):
    """Figures by server, and what failed."""
    results, failures = {}, []
    kinds = peers(folder, programs, packages)
    for name, kind in kinds.items():
        figures = results.setdefault(name, {})
        peer = kind()
        try:
            peer.start()
            run(*generator(peer, programs, "warm", "--clients", USERS), timeout=600)
            for part in parts:
                if (name, part) in LEFT_OUT:
                    continue
                begin = time.monotonic()
                try:
                    # Each message is a file of a block, and its inode, at least.
                    if part == "mailbox" and free() < KEPT_BYTES + messages * 5000:
                        raise Failed(f"{free() >> 30} GiB are free")
                    figures[part] = PARTS[part](peer, programs, messages, folder)
                    said = ""
                except (Failed, OSError, subprocess.SubprocessError, KeyError) as error:
                    said = f": {error!r}"
                    failures.append(f"{name}, {part}{said}")
                print(f"  {name}, {part}, {time.monotonic() - begin:.0f} s{said}", file=sys.stderr, flush=True)
                print(f"    {figures.get(part)}", file=sys.stderr, flush=True)
        finally:
            peer.stop()
            emptied(folder, name)
    return results, failures


def shown(value):
    return "" if value is None else f"{value:.{2 if value < 10 else 0}f}"


def table(results, messages, part):
    names = [name for name in results if (name, part) not in LEFT_OUT]
    lines = [f"| what | unit | {' | '.join(names)} |", f"| --- | ---{' | ---' * len(names)} |"]
    for of, text, unit, figure in rows(messages):
        if of == part:
            values = [figure(results[name][part]) if part in results[name] else None for name in names]
            lines.append(f"| {text} | {unit} | {' | '.join(shown(value) for value in values)} |")
    return "\n".join(lines)


def where_it_lies():
    """In words: what kind of file system the servers' folders are on."""
    folder = os.environ.get("BENCH_FOLDER") or tempfile.gettempdir()
    kind = run("stat", "--file-system", "--format", "%T", folder).strip()
    return "mailboxes in memory (tmpfs), so that no disk is measured" if kind == "tmpfs" else f"mailboxes on {kind.split('/')[0]}"


def report(results, messages, part, versions):
    """The table of one part, with what it is of."""
    folder = os.environ.get("BENCH_FOLDER")
    command = f"{f'BENCH_FOLDER={folder} ' if folder else ''}scripts/bench-scale {messages} {part}"
    said = (f"`{command}` on {time.strftime('%Y-%m-%d')}: {'debug programs' if SHORT else 'release programs'}, {os.cpu_count()} cores, "
            f"load {os.getloadavg()[1]:.1f} in the last five minutes; {where_it_lies()}. {versions}.")
    return f"{said}\n\n{table(results, messages, part)}"


def complete(results, part):
    """Whether the table of this part has all its columns."""
    return all(part in results.get(name, {}) for name in NAMES if (name, part) not in LEFT_OUT)


def main():
    programs = pathlib.Path(sys.argv[1])
    messages = int(sys.argv[2]) if len(sys.argv) > 2 else (400 if SHORT else 300_000)
    parts = sys.argv[3:] or list(PARTS)
    packages = os.environ.get("BENCH_CYRUS", "").split()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    where = os.environ.get("BENCH_FOLDER")
    with tempfile.TemporaryDirectory(prefix="mailboat-bench-", dir=where, ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        results, failures = measure(folder, programs, packages, messages, parts)
    versions = bench.versions(programs, packages)
    reports = {part: report(results, messages, part, versions) for part in parts}
    print("\n\n".join(reports.values()))
    print("\n".join(f"* {failure}" for failure in failures), flush=True)
    for part, text in reports.items():
        if complete(results, part) and not SHORT:
            bench_document.write(f"bench-scale {part}", text)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
