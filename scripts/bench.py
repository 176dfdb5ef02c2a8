"""Measures Mailboat beside Postfix + Dovecot in one run, round after round, and writes the medians and their ratios.

usage: bench.py ROUNDS OUTPUT.md. Everything lives in a temporary folder and listens on loopback ports that were free.
"""

import os
import pathlib
import platform
import pwd
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "release"
USERS = 20
IDLE_SESSIONS = 5000
LARGE_MESSAGES = 100_000
START_SECONDS = 30

# (workload, clients, messages, [(figure, unit, what it says, whether more is better)])
WORKLOADS = [
    # First, so that memory which other work has freed does not hide what a session takes.
    ("idle", USERS, IDLE_SESSIONS, [
        ("opened_per_second", "sessions/s", "IMAP: log in, SELECT, IDLE, one after the other", True),
        ("kilobytes_each", "KiB", f"memory of one idle session ({IDLE_SESSIONS} open, PSS)", False),
    ]),
    ("smtp", 20, 2000, [
        ("accepted_per_second", "messages/s", "SMTP in, until the last 250", True),
        ("delivered_per_second", "messages/s", "SMTP in, until the last message lies in its mailbox", True),
        ("cpu_ms", "ms", "SMTP into a mailbox: server CPU for a message", False),
        ("p50_ms", "ms", "SMTP: MAIL to 250, median", False),
        ("p99_ms", "ms", "SMTP: MAIL to 250, 99th of 100", False),
    ]),
    ("append", 10, 1000, [
        ("appended_per_second", "messages/s", "IMAP APPEND", True),
        ("cpu_ms", "ms", "IMAP APPEND: server CPU for a message", False),
        ("p99_ms", "ms", "IMAP APPEND, 99th of 100", False),
    ]),
    ("imap", 10, 0, [
        ("commands_per_second", "commands/s", "IMAP: select, list, read every second message, flag it", True),
        ("cpu_ms", "ms", "the same: server CPU for a command", False),
        ("p50_ms", "ms", "the same, one command, median", False),
        ("p99_ms", "ms", "the same, one command, 99th of 100", False),
    ]),
    ("pop", 10, 0, [
        ("retrieved_per_second", "messages/s", "POP: log in, UIDL, RETR of everything", True),
        ("cpu_ms", "ms", "the same: server CPU for a message", False),
    ]),
    ("large", 10, LARGE_MESSAGES, [
        ("select_ms", "ms", f"mailbox of {LARGE_MESSAGES} messages: SELECT, first time", False),
        ("flags_ms", "ms", "the same: FETCH 1:* FLAGS", False),
        ("envelope_ms", "ms", "the same: FETCH 1:* ENVELOPE", False),
    ]),
]
# Workloads of the last round only, because they take long.
ONCE = ("large",)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(what, condition):
    end = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {what} did not start")
        time.sleep(0.05)


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            return bool(one.recv(1))
    except OSError:
        return False


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


class Mailboat:
    name = "Mailboat"

    def __init__(self, folder):
        self.root = folder / "mailboat"
        names = ["smtp", "submission", "submissions", "imap", "imaps", "pop", "pops"]
        ports = {name: free_port() for name in names}
        passwords = folder / "passwords"
        users = ["admin", "postmaster"] + [f"u{n}" for n in range(USERS)]
        passwords.write_text("".join(f"{user}:pw-{user}\n" for user in users))
        command = [PROGRAMS / "msg-setup", "--instance", self.root, "--domain", "example.test", "--hostname", "localhost",
                   "--admin", "admin", "--listen", "127.0.0.1", "--passwords-file", passwords]
        for user in users[2:]:
            command += ["--user", user]
        for name in names:
            command += [f"--{name}-port", str(ports[name])]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        sessions = [PROGRAMS / "configutil", "-o", "service.imap.maxsessions", "-v", "6000"]  # the guide's default is 400
        subprocess.run(sessions, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"CONFIGROOT": str(self.root / "config")})
        self.ports = {name: ports[name] for name in ("smtp", "imap", "pop")}
        self.daemons = []

    def start(self):
        for service, program in (("store", "stored"), ("smtp", "smtpd"), ("imap", "imapd"), ("pop", "popd")):
            daemon = subprocess.Popen([PROGRAMS / program, "--instance", self.root])
            self.daemons.append(daemon)
            pid_file = self.root / "run" / f"{service}.pid"
            wait_for(program, lambda: pid_file.exists() and pid_file.read_text().strip() == str(daemon.pid))

    def roots(self):
        return [daemon.pid for daemon in self.daemons]

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            daemon.wait()


class PostfixDovecot:
    """Debian's defaults, but for what a tuned server sets: log-in processes that serve many clients, enough processes
    for all clients at once, no waiting in anvil, LMTP by socket."""

    name = "Postfix + Dovecot"

    def __init__(self, folder):
        self.ports = {name: free_port() for name in ("smtp", "imap", "pop")}
        self.postfix = folder / "postfix"
        self.queue = queue = folder / "postfix-queue"
        data = folder / "postfix-data"
        for one in (self.postfix, queue, data):
            one.mkdir()
        shutil.chown(data, "postfix")
        (self.postfix / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
maillog_file_prefixes = {folder}
maillog_file = {folder}/postfix.log
mail_owner = postfix
setgid_group = postdrop
daemon_directory = /usr/lib/postfix/sbin
myhostname = localhost
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_client_connection_count_limit = 0
virtual_mailbox_domains = example.test
virtual_mailbox_maps = static:ok
virtual_transport = lmtp:unix:{folder}/lmtp
""")
        unix = "pickup cleanup qmgr tlsmgr rewrite bounce defer trace verify flush proxymap smtp lmtp error retry discard anvil scache"
        program = {"rewrite": "trivial-rewrite", "defer": "bounce", "trace": "bounce", "retry": "error"}
        lines = [f"127.0.0.1:{self.ports['smtp']} inet n - n - - smtpd"]
        for service in unix.split():
            wakeup = {"pickup": "60 1", "qmgr": "300 1", "cleanup": "- 0", "flush": "1000? 0", "tlsmgr": "1000? 1", "scache": "- 1", "anvil": "- 1", "verify": "- 1", "bounce": "- 0", "defer": "- 0", "trace": "- 0"}.get(service, "- -")
            private = "n" if service in ("pickup", "cleanup", "qmgr", "flush") else "-"
            lines.append(f"{service} unix {private} - n {wakeup} {program.get(service, service)}")
        lines.append("postlog unix-dgram n - n - 1 postlogd")
        (self.postfix / "master.cf").write_text("\n".join(lines) + "\n")
        owner = pwd.getpwnam("mail")
        mail = folder / "mail"
        mail.mkdir()
        os.chown(mail, owner.pw_uid, owner.pw_gid)
        self.dovecot = folder / "dovecot.conf"
        self.dovecot_run = folder / "dovecot-run"
        self.dovecot.write_text(f"""
base_dir = {self.dovecot_run}
state_dir = {self.dovecot_run}
log_path = {folder}/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_username_format = %n
first_valid_uid = 1
default_client_limit = 20000
default_process_limit = 7000
mail_location = sdbox:{mail}/%n
passdb {{
  driver = static
  args = password=pw-%n
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={mail}/%n
}}
protocol imap {{
  mail_max_userip_connections = 100000
}}
service imap-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener imap {{
    port = {self.ports['imap']}
  }}
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener pop3 {{
    port = {self.ports['pop']}
  }}
}}
service imap {{
  process_limit = 6000
}}
service lmtp {{
  process_min_avail = 20
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
""")

    def start(self):
        subprocess.run(["dovecot", "-c", self.dovecot], check=True)
        subprocess.run(["postfix", "-c", self.postfix, "start"], check=True, stderr=subprocess.DEVNULL)
        for port in self.ports.values():
            wait_for("Postfix or Dovecot", lambda: answers(port))

    def roots(self):
        files = self.dovecot_run / "master.pid", self.queue / "pid" / "master.pid"
        return [int(file.read_text()) for file in files]

    def stop(self):
        subprocess.run(["postfix", "-c", self.postfix, "stop"], check=True, stderr=subprocess.DEVNULL)
        subprocess.run(["doveadm", "-c", self.dovecot, "stop"], check=True)


def generator(peer, workload, clients, messages):
    command = [PROGRAMS / "load-generator", workload, "--clients", str(clients), "--messages", str(messages)]
    for name, port in peer.ports.items():
        command += [f"--{name}", f"127.0.0.1:{port}"]
    return [str(part) for part in command]


def figures(text):
    return {name: float(value) for name, value in (line.split() for line in text.splitlines() if " " in line)}


def measure(peer, workload, clients, messages):
    command = generator(peer, workload, clients, messages)
    if workload != "idle":
        before = cpu_seconds(peer.roots())
        found = figures(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return found | {"cpu_ms": (cpu_seconds(peer.roots()) - before) * 1000 / found["done"]}
    before = pss_kilobytes(peer.roots())
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sessions:
        opened = sessions.stdout.readline()
        if sessions.stdout.readline().strip() != "ready":
            raise SystemExit(f"bench: {peer.name} did not hold {messages} sessions")
        each = (pss_kilobytes(peer.roots()) - before) / messages
        sessions.stdin.close()
    return figures(opened) | {"kilobytes_each": each}


def one_round(results, floor, last):
    with tempfile.TemporaryDirectory(prefix="mailboat-bench-", dir=os.environ.get("BENCH_FOLDER")) as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        disk = folder / "disk"
        disk.mkdir()
        command = [PROGRAMS / "load-generator", "disk", "--clients", "20", "--messages", "2000", "--folder", disk]
        floor.append(figures(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["files_per_second"])
        peers = []
        try:
            for kind in (Mailboat, PostfixDovecot):
                peer = kind(folder)
                peers.append(peer)
                peer.start()
            for number, (workload, clients, messages, _) in enumerate(WORKLOADS):
                if workload in ONCE and not last:
                    continue
                # the order changes, so that neither always finds the disk warm
                for peer in peers if (number + len(floor)) % 2 else reversed(peers):
                    for figure, value in measure(peer, workload, clients, messages).items():
                        results.setdefault((workload, figure, peer.name), []).append(value)
        finally:
            for peer in peers:
                peer.stop()


def version(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")[0].strip()


def spread(values):
    digits = 2 if max(values) < 10 else 0
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def report(rounds, results, floor):
    peer = PostfixDovecot.name
    lines = [
        "# Benchmarks",
        "",
        "Written by `scripts/bench`; do not edit the table. It starts Mailboat and, beside it, Postfix and Dovecot from Debian",
        "(sdbox, LMTP between them, log-in processes that serve many clients), on loopback and on the same disk, and sends the",
        "same bytes to both: messages of 4 KiB, one recipient each, plain connections. Both sync what they acknowledge",
        "(Mailboat: sync level 1; Postfix: its default; Dovecot: `mail_fsync` by default). The generator counts what arrived.",
        f"Figures are the median (and the extremes) over {rounds} rounds of one run; the ratio is Mailboat over the peer where more",
        "is better and the peer over Mailboat where less is, so above 1 Mailboat is ahead.",
        "",
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, "
        f"Postfix {version('postconf', '-h', 'mail_version')}, Dovecot {version('dovecot', '--version').split()[0]}, "
        f"Mailboat {version(PROGRAMS / 'smtpd', '--version').split()[-1]}.",
        "",
        f"| what | unit | Mailboat | {peer} | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    for workload, _, _, shown in WORKLOADS:
        for figure, unit, text, more in shown:
            ours, theirs = results[workload, figure, Mailboat.name], results[workload, figure, peer]
            ratio = statistics.median(ours) / statistics.median(theirs)
            lines.append(f"| {text} | {unit} | {spread(ours)} | {spread(theirs)} | {ratio if more else 1 / ratio:.2f} |")
    limit = statistics.median(floor)
    accepted = statistics.median(results["smtp", "accepted_per_second", Mailboat.name])
    lines += [
        "",
        f"The disk's own limit in the same run, 20 threads that write files of 4 KiB with one `fdatasync` each: "
        f"{spread(floor)} files/s. Mailboat accepts {accepted / limit:.2f} messages for each of these files.",
        "",
        "Server CPU counts all processes of the server (for the peer: Postfix and Dovecot together), user and system time.",
        "",
        "Not measured here: TLS, messages to many recipients, POP deletion, syncs per operation, relaying (not built), Cyrus.",
    ]
    return "\n".join(lines) + "\n"


def main():
    rounds, output = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    results, floor = {}, []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        one_round(results, floor, number + 1 == rounds)
    text = report(rounds, results, floor)
    output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
