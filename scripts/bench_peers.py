"""The servers that scripts/bench measures: each is configured in a folder of its own, started on loopback ports, stopped.

A peer has `name`, `ports` (what the load generator is told), `takes` (the workloads it can do), `start`, `stop` and `roots`
(the processes below which all of its processes are found).
"""

import imaplib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

USERS = 64
START_SECONDS = 30
# For what is put into a server's folders without it.
FILL_SECONDS = 300


class Failed(Exception):
    """A server or the load generator did not do what it should; the text is one line."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(what, condition):
    end = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{what} within {START_SECONDS} s")
        time.sleep(0.02)


def answers(port, greets=True):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            return not greets or bool(one.recv(1))
    except OSError:
        return False


def run(*command, text="", timeout=60, env=None):
    """A command that must succeed; what it says is returned, or told when it does not. Its output goes to a file, because a
    daemon that it leaves behind would keep a pipe open for ever."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as told:
        told.write(text)
        told.seek(0)
        try:
            done = subprocess.run([str(part) for part in command], stdin=told, stdout=said, stderr=subprocess.STDOUT,
                                  timeout=timeout, env=env, check=False)
        except subprocess.TimeoutExpired:
            raise Failed(f"{command[0]} did not end within {timeout} s") from None
        said.seek(0)
        output = said.read()
    if done.returncode:
        raise Failed(f"{command[0]}: {' '.join(output.split()) or done.returncode}")
    return output


class Mailboat:
    name = "Mailboat"
    takes = None  # everything

    def __init__(self, folder, programs, idle):
        self.programs = programs
        self.root = folder / "mailboat"
        names = ["smtp", "submission", "submissions", "imap", "imaps", "pop", "pops"]
        ports = {name: free_port() for name in names}
        passwords = folder / "passwords"
        users = ["admin", "postmaster"] + [f"u{n}" for n in range(USERS)]
        passwords.write_text("".join(f"{user}:pw-{user}\n" for user in users))
        command = [programs / "msg-setup", "--instance", self.root, "--domain", "example.test", "--hostname", "localhost",
                   "--admin", "admin", "--listen", "127.0.0.1", "--passwords-file", passwords]
        for user in users[2:]:
            command += ["--user", user]
        for name in names:
            command += [f"--{name}-port", str(ports[name])]
        run(*command)
        sink = free_port()
        for parameter, value in {
            "service.imap.maxsessions": idle + 1000,  # the guide's default is 400
            "local.service.smtp.smtp-accept.relaynetworks": "127.0.0.0/8",
            "service.smtp.smtp-router.hostrewrites": "relay.test:[127.0.0.1]",
            "local.service.smtp.smtp-deliver.port": sink,
        }.items():
            run(programs / "configutil", "-o", parameter, "-v", value, env=os.environ | {"CONFIGROOT": str(self.root / "config")})
        self.ports = {name: ports[name] for name in ("smtp", "imap", "imaps", "pop")} | {"sink": sink}
        self.certificates = self.root / "config" / "certs"
        self.daemons = []

    def start(self):
        for service, program in (("store", "stored"), ("smtp", "smtpd"), ("imap", "imapd"), ("pop", "popd")):
            daemon = subprocess.Popen([self.programs / program, "--instance", self.root])
            self.daemons.append(daemon)
            pid_file = self.root / "run" / f"{service}.pid"
            wait_for(f"{program} did not start", lambda: pid_file.exists() and pid_file.read_text().strip() == str(daemon.pid))

    def roots(self):
        return [daemon.pid for daemon in self.daemons]

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            daemon.wait()
        self.daemons = []


class PostfixDovecot:
    """Debian's defaults, but for what a tuned server sets: log-in processes that serve many clients, enough processes
    for all clients at once, no waiting in anvil, LMTP by socket."""

    name = "Postfix + Dovecot"
    takes = None

    def __init__(self, folder, certificates, idle, idle_smtp):
        self.ports = {name: free_port() for name in ("smtp", "imap", "imaps", "pop", "sink")}
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
relayhost = [127.0.0.1]:{self.ports['sink']}
""")
        unix = "pickup cleanup qmgr tlsmgr rewrite bounce defer trace verify flush proxymap smtp lmtp error retry discard anvil scache"
        program = {"rewrite": "trivial-rewrite", "defer": "bounce", "trace": "bounce", "retry": "error"}
        wakeups = {"pickup": "60 1", "qmgr": "300 1", "cleanup": "- 0", "flush": "1000? 0", "tlsmgr": "1000? 1", "scache": "- 1",
                   "anvil": "- 1", "verify": "- 1", "bounce": "- 0", "defer": "- 0", "trace": "- 0"}
        lines = [f"127.0.0.1:{self.ports['smtp']} inet n - n - {idle_smtp + 100} smtpd"]
        for service in unix.split():
            private = "n" if service in ("pickup", "cleanup", "qmgr", "flush") else "-"
            lines.append(f"{service} unix {private} - n {wakeups.get(service, '- -')} {program.get(service, service)}")
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
ssl = yes
ssl_cert = <{certificates}/server.crt
ssl_key = <{certificates}/server.key
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
  inet_listener imaps {{
    port = {self.ports['imaps']}
    ssl = yes
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
  process_limit = {idle + 1000}
}}
service lmtp {{
  process_min_avail = 20
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
""")

    def start(self):
        run("dovecot", "-c", self.dovecot)
        run("postfix", "-c", self.postfix, "start")
        for name in ("smtp", "imap", "imaps", "pop"):
            wait_for("Postfix or Dovecot did not start", lambda: answers(self.ports[name], greets=name != "imaps"))

    def pid_files(self):
        return self.dovecot_run / "master.pid", self.queue / "pid" / "master.pid"

    def roots(self):
        return [int(file.read_text()) for file in self.pid_files()]

    def stop(self):
        """Also after a start that failed half-way."""
        pids = [int(file.read_text()) for file in self.pid_files() if file.exists()]
        for command in (["postfix", "-c", self.postfix, "stop"], ["doveadm", "-c", self.dovecot, "stop"]):
            try:
                run(*command)
            except Failed:
                pass  # whether they ended is seen below
        wait_for("Postfix or Dovecot did not stop", lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids))


class Cyrus:
    """Debian's defaults, with as many processes at once as there are clients. Debian does not let cyrus-imapd be installed
    beside dovecot-imapd: its programs are unpacked into the folder, the rest is in cyrus-common."""

    name = "Cyrus"
    takes = ("idle", "append", "imap", "pop", "pop-delete", "large")

    def __init__(self, folder, packages):
        self.folder = folder / "cyrus"
        owner = pwd.getpwnam("cyrus")
        self.ports = {name: free_port() for name in ("imap", "pop")}
        self.folder.mkdir()
        for package in packages:
            run("dpkg-deb", "--extract", package, self.folder / "programs")
        ours, common = self.folder / "programs/usr/lib/cyrus/bin", pathlib.Path("/usr/lib/cyrus/bin")
        self.master = common / "master"
        self.configuration = configuration = self.folder / "imapd.conf"
        configuration.write_text(f"""
configdirectory: {self.folder}/state
proc_path: {self.folder}/state/proc
mboxname_lockpath: {self.folder}/state/lock
partition-default: {self.folder}/spool
defaultpartition: default
sievedir: {self.folder}/state/sieve
idlesocket: {self.folder}/state/idle
notifysocket: {self.folder}/state/notify
servername: localhost
admins: cyrus
autocreate_quota: 0
hashimapspool: true
umask: 077
allowplaintext: yes
popminpoll: 0
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {self.folder}/sasldb2
sasl_mech_list: PLAIN
syslog_prefix: cyrus
""")
        (self.folder / "cyrus.conf").write_text(f"""
START {{
  recover cmd="{common}/ctl_cyrusdb -C {configuration} -r"
}}
DAEMON {{
  idled cmd="{ours}/idled -C {configuration}"
}}
SERVICES {{
  imap cmd="{ours}/imapd -C {configuration} -U 30" listen="127.0.0.1:{self.ports['imap']}" prefork={USERS} maxchild=-1
  pop3 cmd="{ours}/pop3d -C {configuration} -U 30" listen="127.0.0.1:{self.ports['pop']}" prefork={USERS} maxchild=-1
}}
EVENTS {{
  checkpoint cmd="{common}/ctl_cyrusdb -C {configuration} -c" period=30
}}
""")
        for user in range(USERS):
            run("saslpasswd2", "-p", "-c", "-f", self.folder / "sasldb2", "-u", "localhost", f"u{user}", text=f"pw-u{user}\n")
        for one in ("state", "state/socket", "spool"):
            (self.folder / one).mkdir()
        for one in ("state", "state/socket", "spool", "sasldb2"):
            os.chown(self.folder / one, owner.pw_uid, owner.pw_gid)
        self.daemon = None

    def start(self):
        command = [self.master, "-C", self.configuration, "-M", self.folder / "cyrus.conf", "-p", self.folder / "master.pid"]
        self.daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        for port in self.ports.values():
            wait_for("Cyrus did not start", lambda: answers(port))

    def fill(self, programs, user, messages):
        """The load generator's letters into the user's INBOX, in the way for messages that come from elsewhere: as files of its
        spool, which reconstruct(8) finds."""
        with imaplib.IMAP4("127.0.0.1", self.ports["imap"]) as session:
            session.login(user, f"pw-{user}")
            status = session.status("INBOX", "(UIDNEXT)")[1][0].decode()
        first = int(status.split("UIDNEXT ")[1].split(")")[0])
        mailbox = run("/usr/lib/cyrus/bin/mbpath", "-C", self.configuration, "-u", user).strip()
        owner = pwd.getpwnam("cyrus")
        with tempfile.TemporaryDirectory(dir=self.folder / "spool") as letters:
            run(programs / "load-generator", "letters", "--folder", letters, "--messages", messages, timeout=FILL_SECONDS)
            for number in range(messages):
                letter = f"{letters}/{number}"
                os.chown(letter, owner.pw_uid, owner.pw_gid)
                os.rename(letter, f"{mailbox}/{first + number}.")
        run("/usr/lib/cyrus/bin/reconstruct", "-C", self.configuration, "-q", "-u", user, timeout=FILL_SECONDS)

    def roots(self):
        return [self.daemon.pid]

    def stop(self):
        """Its children are in its process group, of which it is the leader."""
        if self.daemon is None:
            return
        self.daemon.terminate()
        try:
            self.daemon.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.daemon.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.daemon.wait()
        self.daemon = None
