"""The web mail beside Roundcube in the same browser, on the same mailbox, in one run.

usage: bench_webmail.py PROGRAMS NODE_MODULES MESSAGES

Roundcube gets what a site would give it: nginx with compression, php-fpm with opcache and as many workers as are asked for at once,
SQLite with the schema of its package, its own defaults for the rest. It is there twice: over our imapd, where both web mails read the
same mailbox, and over Debian's Dovecot with the same messages, to which Postfix delivers. bench/webmail/driver.mjs drives the browser;
it says what it begins and ends, and the CPU time of the servers is read at these steps. The table goes into docs/benchmarks.md.
"""

import contextlib
import email.utils
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import bench_document
from bench import cpu_seconds, pss_kilobytes, version
from bench_peers import USERS, Failed, Mailboat, PostfixDovecot, answers, free_port, run, wait_for

SHORT = os.environ.get("BENCH_SHORT") == "1"
TOP = pathlib.Path(__file__).resolve().parent.parent
DRIVER = TOP / "bench/webmail/driver.mjs"
PATIENCE_SECONDS = 240
INDEX_SECONDS = 180
PHP_WORKERS = 4
# Fresh contexts, jumps and searches in each, deliveries, open pages.
COUNTS = {"rounds": 2, "jumps": 2, "searches": 2, "deliveries": 5, "checks": 2, "pages": 20} if SHORT else {
    "rounds": 7, "jumps": 5, "searches": 3, "deliveries": 60, "checks": 11, "pages": 500}
# A word of this many is in the subject of a message.
WORDS = 50 if SHORT else 5000

NAMES = "Mara Okafor,Jonas Feldmann,Layla Haddad,Chen Wei,Ingrid Solberg,Tomas Novak,Aiko Tanaka,Paul Mercier,Nadia Petrov,Sam Whitlock".split(",")
TEXT = ("The survey of the northern quay is done, and the figures are in the table below. The dredger comes on Thursday with the tide; "
        "until then berth four stays closed, and whoever has cargo there should have it moved. Please answer by noon. ")


def mbox(path, messages):
    """Messages of some 1.4 KB, the newest last, one each five minutes until an hour ago; `Number 00001` and a word in the subject."""
    begin = int(time.time()) - 3600 - messages * 300
    with path.open("w") as out:
        for number in range(1, messages + 1):
            at = begin + number * 300
            name = NAMES[number * 7 % len(NAMES)]
            sender = f"{name.split()[0].lower()}{number % 97}@example.org"
            out.write(f"From {sender} {time.asctime(time.gmtime(at))}\n"
                      f"Received: from mail.example.org (mail.example.org [192.0.2.{number % 250}])\n\tby mx.example.test with ESMTP id {number:x};\n"
                      f"\t{email.utils.formatdate(at)}\n"
                      f"From: \"{name}\" <{sender}>\nTo: u0@example.test\nSubject: Number {number:06} of cargo{number % WORDS:04}, berth {number % 12}\n"
                      f"Date: {email.utils.formatdate(at)}\nMessage-ID: <{number}.bench@example.org>\nMIME-Version: 1.0\n"
                      f"Content-Type: text/plain; charset=utf-8\n\nManifest {number}.\n{TEXT * 4}\n\n")


class Suite(Mailboat):
    """Ours, with the web mail."""

    def __init__(self, folder, programs):
        super().__init__(folder, programs, 1000)
        self.ports["http"] = free_port()
        for name, value in {
            "service.http.port": self.ports["http"],
            "service.http.maxsessions": 4000,  # connections; 500 pages keep two each
            "store.textindexrate": 1 << 30,
        }.items():
            run(programs / "configutil", "-o", name, "-v", value, env=os.environ | {"CONFIGROOT": str(self.root / "config")})
        self.url = f"http://127.0.0.1:{self.ports['http']}"

    def start(self):
        super().start()
        self.web = subprocess.Popen([self.programs / "mshttpd", "--instance", self.root])
        self.daemons.append(self.web)
        wait_for("mshttpd did not start", lambda: answers(self.ports["http"], greets=False))


class Roundcube:
    """Debian's package behind nginx and php-fpm, all of it configured in a folder of its own. `over` serves its IMAP and SMTP."""

    def __init__(self, folder, over):
        self.over = over
        self.folder = folder
        owner = pwd.getpwnam("www-data")
        for name in ("", "config", "temp", "logs", "nginx"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, owner.pw_uid, owner.pw_gid)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.daemons = []
        self.database(owner)
        (self.folder / "config/defaults.inc.php").symlink_to("/etc/roundcube/defaults.inc.php")
        (self.folder / "config/mimetypes.php").symlink_to("/etc/roundcube/mimetypes.php")
        (self.folder / "config/config.inc.php").write_text(f"""<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///{self.folder}/roundcube.db?mode=0640';
$config['imap_host'] = ['127.0.0.1:{over.ports['imap']}'];
$config['smtp_host'] = '127.0.0.1:{over.ports['smtp']}';
$config['mail_domain'] = 'example.test';
$config['temp_dir'] = '{self.folder}/temp';
$config['log_dir'] = '{self.folder}/logs';
$config['des_key'] = 'a key of 24 characters..';
$config['plugins'] = [];
$config['skin'] = 'elastic';
$config['enable_spellcheck'] = false;
$config['search_mods'] = ['*' => ['subject' => 1]];
""")
        self.php = self.folder / "php-fpm.conf"
        self.php.write_text(f"""[global]
error_log = {self.folder}/logs/php-fpm.log
daemonize = no
[www]
user = www-data
group = www-data
listen = {self.folder}/php.sock
listen.owner = www-data
listen.group = www-data
pm = static
pm.max_children = {PHP_WORKERS}
env[ROUNDCUBE_CONFIG_DIR] = {self.folder}/config
php_admin_value[opcache.enable] = 1
php_admin_value[opcache.memory_consumption] = 128
php_admin_value[session.gc_probability] = 0
""")
        self.nginx = self.folder / "nginx.conf"
        self.nginx.write_text(f"""user www-data;
worker_processes 2;
pid {self.folder}/nginx/pid;
error_log {self.folder}/logs/nginx.log;
daemon off;
events {{ worker_connections 2000; }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 10000;
  gzip on;
  gzip_comp_level 6;
  gzip_min_length 500;
  gzip_types text/css text/plain application/javascript application/json image/svg+xml;
  client_body_temp_path {self.folder}/nginx/body;
  proxy_temp_path {self.folder}/nginx/proxy;
  fastcgi_temp_path {self.folder}/nginx/fastcgi;
  uwsgi_temp_path {self.folder}/nginx/uwsgi;
  scgi_temp_path {self.folder}/nginx/scgi;
  server {{
    listen 127.0.0.1:{self.port};
    root /var/lib/roundcube/public_html;
    index index.php;
    location ~ \\.(js|css|svg|png|gif|ico|woff2?)$ {{ expires 30d; }}
    location ~ \\.php$ {{
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
      fastcgi_pass unix:{self.folder}/php.sock;
      fastcgi_buffers 32 16k;
    }}
  }}
}}
""")

    def database(self, owner):
        path = self.folder / "roundcube.db"
        with sqlite3.connect(path) as one:
            one.executescript(pathlib.Path("/usr/share/roundcube/SQL/sqlite.initial.sql").read_text())
        os.chown(path, owner.pw_uid, owner.pw_gid)

    def start(self):
        fpm = sorted(pathlib.Path("/usr/sbin").glob("php-fpm*"))[-1]
        for command in ([fpm, "--nodaemonize", "--fpm-config", self.php], ["/usr/sbin/nginx", "-c", self.nginx]):
            with (self.folder / "logs/said").open("a") as said:
                self.daemons.append(subprocess.Popen(command, stdout=said, stderr=said))
        wait_for("nginx did not start", lambda: answers(self.port, greets=False))
        wait_for("php-fpm did not start", lambda: (self.folder / "php.sock").exists())

    def own(self):
        return [daemon.pid for daemon in self.daemons]

    def roots(self):
        return self.own() + self.over.roots()

    def stop(self):
        for daemon in self.daemons:
            daemon.send_signal(signal.SIGQUIT)
        for daemon in self.daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.daemons = []


def drive(part, task, roots):
    """What the driver found: `NAME VALUE` of each line, and the CPU (`NAME_cpu_ms`) and the growth of memory (`NAME_kib`) between `begin NAME` and `end NAME`."""
    found, began = {}, {}
    command = ["node", str(DRIVER), part]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"BENCH_TASK": json.dumps(task)}) as node:
        patience = threading.Timer(PATIENCE_SECONDS, node.terminate)
        patience.start()
        try:
            for line in node.stdout:
                word, name, *rest = line.split()
                if word == "begin":
                    began[name] = cpu_seconds(roots()), pss_kilobytes(roots())
                elif word == "end":
                    cpu, memory = began[name]
                    found[f"{name}_cpu_ms"] = (cpu_seconds(roots()) - cpu) * 1000
                    found[f"{name}_kib"] = pss_kilobytes(roots()) - memory
                else:
                    found[word] = float(name)
                    continue
                node.stdin.write("\n")
                node.stdin.flush()
            if node.wait():
                raise Failed(f"{part} with {task['product']} failed; so far {found}")
        finally:
            patience.cancel()
            node.kill()
    return found


def settled(suite):
    """Waits until stored has the words of what was imported: it then has nothing to do for longer than it rests."""
    end = time.monotonic() + INDEX_SECONDS
    quiet, before = 0, cpu_seconds(suite.roots()[:1])
    while quiet < 6 and time.monotonic() < end:
        time.sleep(1)
        now = cpu_seconds(suite.roots()[:1])
        quiet, before = (quiet + 1 if now - before < 0.05 else 0), now


def step(text, begin):
    print(f"  {text}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)


def fill(suite, dovecot, folder, messages):
    """The same messages into the INBOX of u0 of both, by what each has for it."""
    imported = folder / "imported"
    imported.mkdir()
    shutil.chown(imported, "mail", "mail")  # Dovecot's user, for its lock
    mbox(imported / "mbox", messages)
    run(suite.programs / "imsimport", "--instance", suite.root, "-v", "0", "u0", f"mbox:{imported / 'mbox'}", timeout=PATIENCE_SECONDS)
    # doveadm-import(1): a location with that INBOX, and the empty parent for the mailboxes of the same names. Filling is not measured.
    source = f"mbox:{imported}/none:INBOX={imported / 'mbox'}:INDEX=MEMORY"
    run("doveadm", "-c", dovecot.dovecot, "-o", "mail_fsync=never", "import", "-u", "u0", source, "", "ALL", timeout=PATIENCE_SECONDS)
    shutil.rmtree(imported)


def measure(folder, programs, modules, messages):
    """Figures by column: `mailboat`, `roundcube` (over our imapd) and `dovecot` (Roundcube over it)."""
    begin = time.monotonic()
    suite = Suite(folder, programs)
    dovecot = PostfixDovecot(folder, suite.certificates, 100, 100)
    roundcubes = {"roundcube": Roundcube(folder / "roundcube", suite), "dovecot": Roundcube(folder / "roundcube-dovecot", dovecot)}
    with contextlib.ExitStack() as started:
        for one in (suite, dovecot, *roundcubes.values()):
            started.callback(one.stop)
            one.start()
        fill(suite, dovecot, folder, messages)
        step("filled", begin)
        settled(suite)
        step("indexed", begin)
        task = COUNTS | {"modules": str(modules), "messages": messages, "words": WORDS, "users": USERS}
        columns = {"mailboat": (task | {"product": "mailboat", "smtp": suite.ports["smtp"], "url": suite.url}, suite)}
        for name, one in roundcubes.items():
            columns[name] = task | {"product": "roundcube", "smtp": one.over.ports["smtp"], "url": one.url}, one
        found = {name: {} for name in columns}
        for part in ("screens", "arrivals"):
            for name, (job, server) in columns.items():
                found[name] |= drive(part, job, server.roots)
                step(f"{name}, {part}", begin)
        for name, one in roundcubes.items():
            found[name]["idle_kib"] = pss_kilobytes(one.own())
        found["mailboat"]["idle_kib"] = pss_kilobytes([suite.web.pid])
        found["mailboat"] |= drive("pages", columns["mailboat"][0], lambda: [suite.web.pid])
        step("mailboat, pages", begin)
        return found


def rows(messages):
    """Text, unit, aim and the name of the figure."""
    row = messages * 77_777 // 100_000
    pages = COUNTS["pages"]
    return [
        ("sign-in page: transferred", "KiB", "15", "signin_kib_net"),
        ("sign-in page: requests", "", "", "signin_requests"),
        ("first view of the mailbox, after signing in: transferred", "KiB", "80", "mailbox_kib_net"),
        ("the same: requests", "", "", "mailbox_requests"),
        ("the same: from Enter to rows on screen", "ms", "", "mailbox_ms"),
        ("the same: server CPU", "ms", "", "mailbox_cpu"),
        ("opened again, from the browser's cache: transferred", "KiB", "", "again_kib_net"),
        ("the same: requests", "", "", "again_requests"),
        ("the same: from the address to rows on screen", "ms", "", "again_ms"),
        ("compose: transferred", "KiB", "35", "compose_kib_net"),
        ("the same: requests", "", "", "compose_requests"),
        ("the same: from the click to the editor", "ms", "", "compose_ms"),
        (f"jump to row {row}, first of the page", "ms", "60", "jump_first_ms"),
        ("jumps to rows anywhere", "ms", "60", "jump_ms"),
        ("the same, 95th of 100", "ms", "", "jump_p95_ms"),
        ("the same: transferred", "KiB", "", "jump_kib_net"),
        ("the same: server CPU", "ms", "", "jump_cpu"),
        ("search of a subject", "ms", "300", "search_ms"),
        ("the same, 95th of 100", "ms", "", "search_p95_ms"),
        ("the same: server CPU", "ms", "", "search_cpu"),
        ("new mail: from the end of its DATA to its row on screen", "ms", "", "arrival_ms"),
        ("the same, 95th of 100", "ms", "500", "arrival_p95_ms"),
        ("the same: transferred", "KiB", "", "arrival_kib_net"),
        ("the same: server CPU, the delivery's too", "ms", "", "arrival_cpu"),
        ("Roundcube's check for new mail, asked for at once", "ms", "", "check_ms"),
        ("the same: transferred", "KiB", "", "check_kib_net"),
        ("a check with nothing new: server CPU", "ms", "", "idle_check_cpu"),
        ("one new message with the default refresh", "ms", "", "default_ms"),
        ("memory of mshttpd; of nginx and php-fpm (PSS)", "KiB", "", "idle_kib"),
        (f"memory for each open page of {pages}, its session and event stream", "KiB", "30", "page_kib"),
    ]


def derived(found, figures):
    """What comes of counts: CPU for each time that something was done."""
    for name, times in {"mailbox": "rounds", "jump": "jump_times", "search": "search_times", "arrival": "deliveries", "idle_check": "checks"}.items():
        if f"{name}_all_cpu_ms" in found:
            found[f"{name}_cpu"] = found[f"{name}_all_cpu_ms"] / (COUNTS[times] if times in COUNTS else found[times])
    if "page_all_kib" in found:
        found["page_kib"] = found["page_all_kib"] / COUNTS["pages"]
    return {name: found.get(name) for name in figures}


def shown(value):
    return "" if value is None else f"{value:.{0 if value >= 100 or value == int(value) else 1}f}"


def main():
    programs, modules, messages = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), int(sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="mailboat-webmail-", ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        found = measure(folder, programs, modules, messages)
    text = report(found, messages, programs)
    print(text)
    if not SHORT:
        bench_document.write("bench-webmail", text)


def report(found, messages, programs):
    table = rows(messages)
    columns = [derived(found[name], [figure for *_, figure in table]) for name in ("mailboat", "roundcube", "dovecot")]
    versions = (f"Mailboat {version(programs / 'smtpd', '--version').split()[-1]}, Roundcube "
                f"{version('dpkg-query', '-W', '-f', '${Version}', 'roundcube-core').split('+')[0]}, "
                f"Dovecot {version('dovecot', '--version').split()[0]}")
    lines = [
        f"`scripts/bench-webmail {messages}` on {time.strftime('%Y-%m-%d')}: {'debug' if SHORT else 'release'} programs, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[1]:.1f} in the last five minutes. {versions}.",
        "",
        "| what | unit | aim | Mailboat | Roundcube over our imapd | Roundcube over Dovecot |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for text, unit, aim, figure in table:
        lines.append(f"| {text} | {unit} | {aim} | {' | '.join(shown(column[figure]) for column in columns)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
