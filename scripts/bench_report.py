"""What scripts/bench shows: the rows of each workload, and docs/benchmarks.md from the figures."""

import os
import platform
import statistics
import time
from collections import namedtuple

# rounds: "each", or "last" for what takes long. fresh: the server is started anew. extra: more arguments for the load
# generator. peers: how all this differs for a peer, by its name.
Workload = namedtuple("Workload", "name clients messages rows rounds fresh extra peers", defaults=("each", False, (), {}))
# more: whether more is better.
Row = namedtuple("Row", "figure unit text more")


def latencies(text):
    return [Row(f"p{share}_ms", "ms", f"{text}, {said}", False)
            for share, said in ((50, "median"), (95, "95th of 100"), (99, "99th of 100"))]


def workloads(short):
    """In order. `short` is a run that only shows that every figure is there."""
    def number(long, few):
        return few if short else long

    idle, idle_tls, idle_smtp, idle_cyrus = number(5000, 20), number(1000, 20), number(2000, 20), number(500, 20)
    large, passes = number(100_000, 100), number(5, 1)
    cyrus = f"; Cyrus: {idle_cyrus}" if idle != idle_cyrus else ""
    return [
        # First, so that memory which other work has freed does not hide what a session takes, and what stored does with the
        # mailboxes that the others fill is not counted as theirs.
        Workload("idle", 20, idle, [
            Row("opened_per_second", "sessions/s", "IMAP: log in, SELECT, IDLE, one after the other", True),
            Row("kilobytes_each", "KiB", f"memory of one idle session ({idle} open{cyrus}; PSS)", False),
        ], peers={"Cyrus": {"messages": idle_cyrus}}),
        Workload("idle-tls", 20, idle_tls, [
            Row("opened_per_second", "sessions/s", "IMAP inside TLS: log in, SELECT, IDLE, one after the other", True),
            Row("kilobytes_each", "KiB", f"memory of one idle session inside TLS ({idle_tls} open; PSS)", False),
        ], "last", fresh=True),
        Workload("idle-smtp", 20, idle_smtp, [
            Row("opened_per_second", "sessions/s", "SMTP: connect, EHLO, one after the other", True),
            Row("kilobytes_each", "KiB", f"memory of one idle SMTP session ({idle_smtp} open; PSS)", False),
        ], "last", fresh=True),
        Workload("smtp", 20, number(2000, 40), [
            Row("accepted_per_second", "messages/s", "SMTP in, until the last 250", True),
            Row("delivered_per_second", "messages/s", "SMTP in, until the last message lies in its mailbox", True),
            Row("cpu_ms", "ms", "SMTP into a mailbox: server CPU for a message", False),
            *latencies("SMTP: MAIL to 250"),
        ]),
        Workload("append", 10, number(1000, 20), [
            Row("appended_per_second", "messages/s", "IMAP APPEND", True),
            Row("cpu_ms", "ms", "IMAP APPEND: server CPU for a message", False),
            *latencies("IMAP APPEND"),
        ]),
        Workload("imap", 10, 0, [
            Row("commands_per_second", "commands/s", "IMAP: select, list, read every second message, flag it", True),
            Row("cpu_ms", "ms", "the same: server CPU for a command", False),
            *latencies("the same, one command"),
        ], extra=("--passes", passes), peers={"Cyrus": {"extra": ("--passes", 1)}}),
        Workload("pop", 10, 0, [
            Row("retrieved_per_second", "messages/s", "POP: log in, UIDL, RETR of everything", True),
            Row("cpu_ms", "ms", "the same: server CPU for a message", False),
            *latencies("the same, one RETR"),
        ], extra=("--passes", passes), peers={"Cyrus": {"extra": ("--passes", 1)}}),
        Workload("pop-delete", 10, number(500, 20), [
            Row("taken_per_second", "messages/s", "POP: log in, RETR and DELE of everything, QUIT", True),
            Row("cpu_ms", "ms", "the same: server CPU for a message", False),
            *latencies("the same, one RETR"),
        ], extra=("--first", 10)),
        Workload("relay", 20, number(2000, 40), [
            Row("accepted_per_second", "messages/s", "relaying: SMTP in, until the last 250", True),
            Row("relayed_per_second", "messages/s", "relaying: until the other host has the last message", True),
            Row("cpu_ms", "ms", "relaying: server CPU for a message", False),
            *latencies("relaying: MAIL to 250"),
        ]),
        *more_smtp(short),
        Workload("large", 10, large, [
            Row("select_ms", "ms", f"mailbox of {large} messages: SELECT, first time", False),
            Row("flags_ms", "ms", "the same: FETCH 1:* FLAGS", False),
            Row("envelope_ms", "ms", "the same: FETCH 1:* ENVELOPE", False),
            Row("flag_ms", "ms", "the same: STORE of one flag", False),
            Row("sort_ms", "ms", "the same: SORT (DATE)", False),
            Row("thread_ms", "ms", "the same: THREAD REFERENCES", False),
            Row("search_ms", "ms", "the same: SEARCH BODY of a word that few have", False),
            Row("qresync_ms", "ms", "the same: SELECT with QRESYNC after ten changes", False),
            Row("expunge_ms", "ms", "the same: EXPUNGE of 1,000", False),
        ], "last", peers={"Cyrus": {"extra": ("--filled",)}}),
        # Not timed: what the servers ask of the disk, counted by strace.
        *(Workload(f"syncs-{name}", clients, number(200, 20), [Row("syncs", "calls", text, False)], "last")
          for name, clients, text in (("smtp", 20, "SMTP into a mailbox: syncs for a message"),
                                      ("append", 10, "IMAP APPEND: syncs for a message"),
                                      ("relay", 20, "relaying: syncs for a message"))),
    ]


def more_smtp(short):
    """The same workloads in other sizes, once."""
    def number(long, few):
        return few if short else long

    def rows(rate, text):
        return [Row(rate, "messages/s", f"{text}: until the last has arrived", True),
                Row("cpu_ms", "ms", f"{text}: server CPU for a message", False)]

    into, through = "delivered_per_second", "relayed_per_second"
    return [Workload(name, clients, messages, rows(rate, text), "last", extra=extra) for name, clients, messages, rate, text, extra in (
        ("smtp-serial", 1, number(300, 5), into, "SMTP into a mailbox, one session", ()),
        ("smtp-64", number(64, 4), number(3200, 8), into, "SMTP into mailboxes, 64 sessions", ()),
        ("smtp-ten", 20, number(1000, 20), into, "SMTP into ten mailboxes each, 20 sessions", ("--recipients", 10)),
        ("relay-serial", 1, number(300, 5), through, "relaying, one session", ()),
        ("relay-200", number(200, 4), number(4000, 8), through, "relaying, 200 sessions", ()),
        ("relay-256k", 20, number(400, 20), through, "relaying messages of 256 KiB, 20 sessions", ("--bytes", 262144)),
        ("relay-ten", 20, number(1000, 20), through, "relaying to ten recipients each, 20 sessions", ("--recipients", 10)),
        ("relay-1000", number(20, 2), number(40, 2), through, "relaying to 1,000 recipients each, 20 sessions", ("--recipients", number(1000, 60))),
    )]


def spread(values):
    middle = statistics.median(values)
    digits = 2 if max(values) < 10 else 0
    if len(values) == 1:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ratio(row, ours, theirs):
    """Above 1 when ours is ahead; nothing when a figure is missing or zero."""
    if not ours or not theirs or not statistics.median(ours) or not statistics.median(theirs):
        return ""
    more = statistics.median(ours) / statistics.median(theirs)
    return f"{more if row.more else 1 / more:.2f}"


def report(rounds, plan, peers, results, floor, failures, versions):
    """`results` are lists of figures by (workload, figure, peer); `peers` are names, ours first."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `scripts/bench`; do not edit it. It starts Mailboat and, beside it, Postfix with Dovecot (sdbox, LMTP between",
        "them, log-in processes that serve many clients), and Cyrus, all from Debian, on loopback and on the same disk, and sends",
        "the same bytes to all: messages of 4 KiB, one recipient each, plain connections, unless a row says otherwise. All sync what they",
        "acknowledge (Mailboat: sync level 1; Postfix and Cyrus: their defaults; Dovecot: `mail_fsync` by default). The generator",
        "checks every answer, counts what arrived, and compares every relayed message with what was sent.",
        f"Figures are the median (and the extremes) over {rounds} round{'s' if rounds > 1 else ''} of one run, or one figure of the",
        "last round; a ratio is Mailboat over the peer where more is better and the peer over Mailboat where less is, so above 1",
        "Mailboat is ahead.",
        "",
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, {versions}.",
        "",
        "| what | unit | " + peers[0] + "".join(f" | {peer} | ratio" for peer in peers[1:]) + " |",
        "| --- | --- | ---" + " | --- | ---" * len(peers[1:]) + " |",
    ]
    for workload in plan:
        for row in workload.rows:
            ours, *theirs = (results.get((workload.name, row.figure, peer), []) for peer in peers)
            cells = [row.text, row.unit, spread(ours) if ours else ""]
            for values in theirs:
                cells += [spread(values) if values else "", ratio(row, ours, values)]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "The disk's own limit in the same run, 20 threads that write files of 4 KiB with one `fdatasync` each: "
              f"{spread(floor)} files/s."]
    for name, does in (("smtp", "accepts"), ("relay", "relays")):
        done = results.get((name, "accepted_per_second" if name == "smtp" else "relayed_per_second", peers[0]))
        if done:
            lines[-1] += f" Mailboat {does} {statistics.median(done) / statistics.median(floor):.2f} messages for each of these files."
    lines += [
        "",
        "Server CPU counts all processes of the server (Postfix and Dovecot together), user and system time, while the work is",
        "measured. Memory is the growth of the proportional set size of all its processes, divided by the sessions; what the",
        "kernel holds for a socket is not in it. Syncs are calls of `fsync`, `fdatasync`, `sync_file_range`, `msync`, `sync`",
        "and `syncfs` by all its processes, in a pass of its own under `strace`.",
        "",
        "Latencies are those that ten clients (twenty by SMTP) see while all of them are busy, so they are waits for a turn more than work.",
        "Their mean is the number of clients over the rate: a median that is behind where the rate is ahead says how the waits are spread.",
        "",
        "Cyrus gets no mail by SMTP here: as much as the others have is appended to its mailboxes first. It leaves Nagle's",
        "algorithm on, so that a reply written in pieces waits 40 ms for the client's acknowledgement: its rates for FETCH and",
        "RETR are bound by that, its CPU is not. So it does these once where the others do them five times. The messages of the large",
        "mailbox are put into its spool as files and found there by its `reconstruct`, since it syncs each message of an APPEND of many.",
        "",
    ]
    lines += [
        "Aims of the project that these rows are to be held against: 3,000 messages a second accepted and delivered at 50 sessions, 400",
        "from one serial session, 0.3 ms of server CPU a message. ext4 looks past the inodes that were deleted in the last minute each time",
        "that a file is made, so rows that make files are slower right after many deletions.",
        "",
    ]
    if failures:
        lines += ["Failed in this run:", "", *(f"* {failure}" for failure in failures), ""]
    lines += ["Not measured here: TLS other than idle sessions, networks slower than loopback."]
    return "\n".join(lines) + "\n"
