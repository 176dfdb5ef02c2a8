"""Log-ins with users in OpenLDAP: Mailboat beside Dovecot, with a cold and a warm cache.

usage: bench_logins.py PROGRAMS [USERS]

Everything lives in a temporary folder and listens on loopback ports that were free. One mail server runs at a time; slapd serves
both, with passwords that are quick to check ({SSHA}), so that the directory is what is measured and not a hash. Every user logs in once
before anything is measured, so that mailboxes exist; then the server is started anew, and its cache is cold.
"""

import base64
import hashlib
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import tempfile
import time

from bench import cpu_seconds, pss_kilobytes
from bench_peers import Failed, answers, free_port, run, wait_for
from bench_scale import drive, generator, shown

SHORT = os.environ.get("BENCH_SHORT") == "1"
CLIENTS = 20
BASE = "o=example.test"
READER, SECRET = f"cn=mailboat,{BASE}", "mailboat-secret"
POOLS = (1, 8, 32)
ROUNDS = 1 if SHORT else 3


def ssha(password):
    salt = hashlib.sha256(password.encode()).digest()[:8]
    return "{SSHA}" + base64.b64encode(hashlib.sha1(password.encode() + salt).digest() + salt).decode()


class Slapd:
    """As the tests have it: the schema of etc/ldap, an index, nobody reads but the daemons' own entry."""

    def __init__(self, folder, users):
        self.port = free_port()
        self.folder = folder / "slapd"
        (self.folder / "db").mkdir(parents=True)
        schemas = [f"/etc/ldap/schema/{name}.schema" for name in ("core", "cosine", "inetorgperson", "dyngroup")]
        schemas.append(pathlib.Path("etc/ldap/mailboat.schema").resolve())
        includes = "".join(f"include {path}\n" for path in schemas)
        self.configuration = self.folder / "slapd.conf"
        self.configuration.write_text(includes + f"""
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {self.folder}/slapd.pid
database mdb
maxsize 268435456
suffix "{BASE}"
directory {self.folder}/db
dbnosync
index objectClass,uid,mail,mailAlternateAddress eq
access to attrs=userPassword by self =xw by anonymous auth by * none
access to * by dn.exact="{READER}" read by * none
""")
        entries = [f"dn: {BASE}\nobjectClass: organization\no: example.test\n",
                   f"dn: {READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: mailboat\nuserPassword: {SECRET}\n"]
        for user in ["postmaster"] + [f"u{number}" for number in range(users)]:
            entries.append(f"dn: uid={user},{BASE}\nobjectClass: inetOrgPerson\nobjectClass: mailRecipient\nuid: {user}\ncn: {user}\nsn: {user}\n"
                           f"mail: {user}@example.test\nuserPassword: {ssha('pw-' + user)}\n")
        ldif = self.folder / "entries.ldif"
        ldif.write_text("\n".join(entries))
        run("/usr/sbin/slapadd", "-q", "-f", self.configuration, "-l", ldif)
        command = ["/usr/sbin/slapd", "-h", f"ldap://127.0.0.1:{self.port}", "-f", self.configuration, "-d", "0"]
        self.daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("slapd did not start", lambda: answers(self.port, greets=False))

    def roots(self):
        return [self.daemon.pid]

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait()


class Mailboat:
    name = "Mailboat"

    def __init__(self, folder, programs, slapd):
        self.programs, self.root, self.daemons = programs, folder / "mailboat", []
        names = ["smtp", "submission", "submissions", "imap", "imaps", "pop", "pops"]
        ports = {name: free_port() for name in names}
        passwords = folder / "passwords"
        passwords.write_text("admin:pw-admin\npostmaster:pw-postmaster\n")
        command = [programs / "msg-setup", "--instance", self.root, "--domain", "example.test", "--hostname", "localhost",
                   "--admin", "admin", "--listen", "127.0.0.1", "--passwords-file", passwords]
        for name in names:
            command += [f"--{name}-port", str(ports[name])]
        run(*command)
        credential = self.root / "config" / "ldap.credential"
        credential.write_text(SECRET + "\n")
        credential.chmod(0o600)
        self.ports = {name: ports[name] for name in ("smtp", "imap", "pop")}
        for parameter, value in {
            "local.ugldaphost": f"127.0.0.1:{slapd.port}",
            "local.ugldapuselocal": "yes",
            "local.ugldapbasedn": BASE,
            "local.ugldapbinddn": READER,
            "local.ugldapbindcred": "file:config/ldap.credential",
            "service.imap.maxsessions": "4000",
            "service.pop.maxsessions": "4000",
            # A worker for each session: the pool is to be what they wait for.
            "service.smtp.smtp-accept.minruncount": str(CLIENTS),
        }.items():
            self.set(parameter, value)

    def set(self, parameter, value):
        environment = os.environ | {"CONFIGROOT": str(self.root / "config")}
        run(self.programs / "configutil", "-o", parameter, "-v", value, env=environment)

    def start(self, services=("store", "imap", "pop")):
        programs = {"store": "stored", "smtp": "smtpd", "imap": "imapd", "pop": "popd"}
        for service in services:
            daemon = subprocess.Popen([self.programs / programs[service], "--instance", self.root])
            self.daemons.append(daemon)
            pid_file = self.root / "run" / f"{service}.pid"
            wait_for(f"{service} did not start", lambda: pid_file.exists() and pid_file.read_text().strip() == str(daemon.pid))

    def roots(self):
        return [daemon.pid for daemon in self.daemons]

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            daemon.wait()
        self.daemons = []


class Dovecot:
    """Debian's defaults, but for what a tuned server sets: log-in processes that serve many clients, and its authentication cache.
    As Mailboat does, it searches for the user and binds as what is found."""

    name = "Dovecot"

    def __init__(self, folder, slapd):
        self.folder = folder / "dovecot"
        mail = self.folder / "mail"
        mail.mkdir(parents=True)
        owner = pwd.getpwnam("mail")
        os.chown(mail, owner.pw_uid, owner.pw_gid)
        self.ports = {name: free_port() for name in ("imap", "pop")}
        ldap = self.folder / "ldap.conf"
        ldap.write_text(f"""
uris = ldap://127.0.0.1:{slapd.port}
dn = {READER}
dnpass = {SECRET}
base = {BASE}
auth_bind = yes
pass_attrs = uid=user
pass_filter = (&(objectClass=mailRecipient)(uid=%n))
""")
        ldap.chmod(0o600)
        self.configuration = self.folder / "dovecot.conf"
        self.configuration.write_text(f"""
base_dir = {self.folder}/run
state_dir = {self.folder}/run
log_path = {self.folder}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
default_client_limit = 20000
default_process_limit = 1000
mail_location = sdbox:{mail}/%n
auth_cache_size = 100 M
auth_cache_ttl = 1 hour
passdb {{
  driver = ldap
  args = {ldap}
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={mail}/%n allow_all_users=yes
}}
service imap-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener imap {{
    port = {self.ports['imap']}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener pop3 {{
    port = {self.ports['pop']}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service imap {{
  service_count = 100
  process_min_avail = 4
}}
service pop3 {{
  service_count = 100
  process_min_avail = 4
}}
""")

    def start(self):
        run("dovecot", "-c", self.configuration)
        for port in self.ports.values():
            wait_for("Dovecot did not start", lambda: answers(port))

    def roots(self):
        return [int((self.folder / "run" / "master.pid").read_text())]

    def stop(self):
        pid_file = self.folder / "run" / "master.pid"
        pid = pid_file.exists() and int(pid_file.read_text())
        if pid:
            run("doveadm", "-c", self.configuration, "stop")
            wait_for("Dovecot did not stop", lambda: not pathlib.Path(f"/proc/{pid}").exists())


def measured(peer, slapd, programs, workload, users, log_ins):
    """Figures of one workload: the generator's, and the CPU time of the mail server and of the directory."""
    command = generator(peer, programs, workload, "--clients", CLIENTS, "--users", users, "--messages", log_ins)
    ours, theirs = cpu_seconds(peer.roots()), cpu_seconds(slapd.roots())
    found = drive(command, peer)
    return found | {"cpu_ms": (cpu_seconds(peer.roots()) - ours) * 1e3 / log_ins,
                    "ldap_ms": (cpu_seconds(slapd.roots()) - theirs) * 1e3 / log_ins}


def log_ins(peer, slapd, programs, users):
    """By workload and `cold` or `warm`: the round whose log-ins a second are the median."""
    found = {}
    try:
        peer.start()
        for workload in ("log-in-imap", "log-in-pop"):
            measured(peer, slapd, programs, workload, users, users)
        for workload in ("log-in-imap", "log-in-pop"):
            rounds = {"cold": [], "warm": []}
            for _ in range(ROUNDS):
                peer.stop()
                peer.start()
                time.sleep(0 if SHORT else 2)
                for state in rounds:
                    rounds[state].append(measured(peer, slapd, programs, workload, users, users))
            for state, some in rounds.items():
                some.sort(key=lambda one: one["log_ins_per_second"])
                found[workload, state] = some[len(some) // 2]
    finally:
        peer.stop()
    return found


def pools(peer, slapd, programs, users):
    """By size of the pool: look-ups a second, and the memory of smtpd beyond what it was before the first."""
    found = {}
    for size in POOLS:
        peer.set("service.smtp.ldappoolsize", str(size))
        try:
            peer.start(("store", "smtp"))
            smtpd = peer.roots()[1:]
            before = pss_kilobytes(smtpd)
            count = 400 if SHORT else 20_000
            command = generator(peer, programs, "recipients", "--clients", CLIENTS, "--users", users, "--messages", count)
            one = drive(command, peer)
            found[size] = one["recipients_per_second"], pss_kilobytes(smtpd) - before
        finally:
            peer.stop()
    return found


def table(results):
    lines = ["| what | unit | Mailboat | Dovecot | ratio |", "| --- | --- | --- | --- | --- |"]
    figures = (("log_ins_per_second", "log-ins", "log-ins/s", True), ("p50_ms", "the same, one of them, median", "ms", False),
               ("p99_ms", "the same, 99th of 100", "ms", False), ("cpu_ms", "the same: server CPU for one", "ms", False),
               ("ldap_ms", "the same: CPU of slapd for one", "ms", False))
    for workload, protocol in (("log-in-imap", "IMAP"), ("log-in-pop", "POP")):
        for state in ("cold", "warm"):
            ours, theirs = (results[name].get((workload, state), {}) for name in ("Mailboat", "Dovecot"))
            for key, text, unit, more in figures:
                one, other = ours.get(key), theirs.get(key)
                ratio = None
                if one and other:
                    ratio = one / other if more else other / one
                what = f"{protocol}, {state} cache: {text}" if text == "log-ins" else text
                lines.append(f"| {what} | {unit} | {shown(one)} | {shown(other)} | {shown(ratio)} |")
    return "\n".join(lines)


def pool_table(found):
    lines = ["| `service.smtp.ldappoolsize` | recipients looked up/s | memory of smtpd beyond that at its start, KiB |", "| --- | --- | --- |"]
    lines += [f"| {size} | {rate:.0f} | {memory} |" for size, (rate, memory) in found.items()]
    return "\n".join(lines)


def main():
    programs = pathlib.Path(sys.argv[1])
    users = int(sys.argv[2]) if len(sys.argv) > 2 else (60 if SHORT else 2000)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failures, results, sizes = [], {"Mailboat": {}, "Dovecot": {}}, {}
    where = os.environ.get("BENCH_FOLDER")
    with tempfile.TemporaryDirectory(prefix="mailboat-bench-", dir=where, ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        slapd = Slapd(folder, users)
        try:
            ours = Mailboat(folder, programs, slapd)
            for peer in (ours, Dovecot(folder, slapd)):
                try:
                    results[peer.name] = log_ins(peer, slapd, programs, users)
                except (Failed, OSError, subprocess.SubprocessError, KeyError) as error:
                    failures.append(f"{peer.name}: {error!r}")
            try:
                sizes = pools(ours, slapd, programs, users)
            except (Failed, OSError, subprocess.SubprocessError, KeyError) as error:
                failures.append(f"pools: {error!r}")
        finally:
            slapd.stop()
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {users} users, {CLIENTS} clients, load {os.getloadavg()[1]:.1f} in the last five minutes")
    print(table(results))
    print()
    print(pool_table(sizes))
    print("\n".join(f"* {failure}" for failure in failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
