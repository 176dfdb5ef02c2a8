"""COMPRESS=DEFLATE against zlib. Prints "all well" at the end.

usage: compress.py ADDRESS IMAP IMAPS CA
"""

import random
import socket
import ssl
import sys
import threading
import zlib

address, imap_port, imaps_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
trust = ssl.create_default_context(cafile=sys.argv[4])
trust.check_hostname = False  # the address is the test's own


def check(condition, what):
    if not condition:
        raise SystemExit(f"not so: {what}")


class Client:
    """A connection; `bytes_in` and `bytes_out` are what went over the wire."""

    def __init__(self, user="alice", tls=False):
        self.socket = socket.create_connection((address, imaps_port if tls else imap_port), timeout=120)
        if tls:
            self.socket = trust.wrap_socket(self.socket)
        self.deflater = self.inflater = None
        self.flush = zlib.Z_SYNC_FLUSH
        self.buffer = b""
        self.bytes_in = self.bytes_out = self.number = 0
        self.line()
        self.ok(f"LOGIN {user} {user}-secret")

    def raw(self, data):
        self.bytes_out += len(data)
        self.socket.sendall(data)

    def send(self, data):
        if self.deflater:
            data = self.deflater.compress(data) + self.deflater.flush(self.flush)
        self.raw(data)

    def more(self):
        data = self.socket.recv(65536)
        self.bytes_in += len(data)
        if data and self.inflater:
            data = self.inflater.decompress(data)
            check(not self.inflater.eof and not self.inflater.unused_data, "the server's stream never ends")
        elif not data:
            raise EOFError
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def exactly(self, count):
        while len(self.buffer) < count:
            self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def command(self, text):
        self.number += 1
        self.send(b"c%d %s\r\n" % (self.number, text.encode()))
        return self.tagged()

    def tagged(self):
        lines = []
        while True:
            line = self.line()
            if line.endswith(b"}") and b"{" in line:
                line += self.exactly(int(line[line.rindex(b"{") + 1 : -1]))
            if line.startswith(b"c%d " % self.number):
                return lines, line.split(b" ", 1)[1].decode()
            lines.append(line)

    def ok(self, text):
        lines, end = self.command(text)
        check(end.startswith("OK"), f"{text}: {end}")
        return lines

    def compress(self, level=6):
        self.ok("COMPRESS DEFLATE")
        check(not self.buffer, "nothing is said in clear behind the go-ahead")
        self.deflater = zlib.compressobj(level, zlib.DEFLATED, -15)
        self.inflater = zlib.decompressobj(-15)

    def append(self, message):
        self.number += 1
        self.send(b"c%d APPEND INBOX {%d}\r\n" % (self.number, len(message)))
        check(self.line().startswith(b"+"), "go on")
        self.send(message + b"\r\n")
        check(self.tagged()[1].startswith("OK"), "APPEND")

    def is_over(self):
        try:
            self.more()
        except (EOFError, OSError):
            return True
        return False


def capabilities(client):
    return client.ok("CAPABILITY")[0].split()


def offered_once():
    client = Client()
    check(b"COMPRESS=DEFLATE" in capabilities(client), "it is offered")
    for nonsense in ["COMPRESS", "COMPRESS LZW", "COMPRESS DEFLATE 9"]:
        check(client.command(nonsense)[1].startswith("BAD"), nonsense)
    client.compress()
    check(b"COMPRESS=DEFLATE" not in capabilities(client), "it is active")
    check(client.command("COMPRESS DEFLATE")[1].startswith("NO [COMPRESSIONACTIVE]"), "once")
    client.ok("NOOP")
    client.ok("LOGOUT")
    check(client.is_over(), "the end")


def strangers_may_not():
    stream = socket.create_connection((address, imap_port), timeout=60)
    greeting = stream.recv(4096)
    check(b"COMPRESS" not in greeting, "not before the log-in")
    stream.sendall(b"a COMPRESS DEFLATE\r\n")
    check(stream.recv(4096).startswith(b"a BAD"), "log in first")


def much_goes_both_ways(tls, level, flush):
    client = Client("bob", tls)
    client.compress(level)
    client.flush = flush
    noise = random.Random(7).randbytes(400_000).hex().encode()
    text = b"From: amy@example.org\r\nSubject: much\r\n\r\n" + b"the same again\r\n" * 100_000 + noise + b"\r\n"
    client.append(text)
    client.ok("SELECT INBOX")
    before = client.bytes_in
    got = client.ok("FETCH * BODY.PEEK[]")[0]
    check(got.endswith(text), "what was stored is fetched")
    check(client.bytes_in - before < len(text) * 3 // 4, "and was compressed")
    client.ok("STORE * +FLAGS.SILENT (\\Deleted)")
    client.ok("CLOSE")


def answers_are_small():
    plain, packed = Client(), Client()
    packed.compress()
    for client in (plain, packed):
        client.ok("CREATE Many%d" % client.bytes_out)
        for _ in range(100):
            client.ok("LIST (SUBSCRIBED) \"\" * RETURN (CHILDREN SPECIAL-USE)")
            client.ok("CAPABILITY")
    check(packed.bytes_in * 3 < plain.bytes_in, f"{packed.bytes_in} of {plain.bytes_in}")


def pieces_of_a_byte():
    client = Client()
    client.compress()
    client.number += 1
    data = client.deflater.compress(b"c%d STATUS INBOX (MESSAGES)\r\n" % client.number)
    data += client.deflater.flush(zlib.Z_SYNC_FLUSH)
    for at in range(len(data)):
        client.raw(data[at : at + 1])
    check(client.tagged()[1].startswith("OK"), "byte by byte")


def idle_is_told():
    client, other = Client(), Client()
    client.compress()
    client.ok("SELECT INBOX")
    client.number += 1
    client.send(b"c%d IDLE\r\n" % client.number)
    check(client.line().startswith(b"+"), "IDLE")
    other.append(b"Subject: news\r\n\r\nx\r\n")
    check(b"EXISTS" in client.line(), "news in IDLE")
    client.send(b"DONE\r\n")
    check(client.tagged()[1].startswith("OK"), "DONE")


def a_slow_reader_gets_all():
    client = Client("bob")
    client.append(b"Subject: long\r\n\r\n" + random.Random(1).randbytes(2_000_000).hex().encode() + b"\r\n")
    client.compress()
    client.ok("SELECT INBOX")
    for _ in range(4):
        client.number += 1
        client.send(b"c%d FETCH * BODY.PEEK[]\r\n" % client.number)
    seen = 0
    while seen < 4:  # everything is asked for before anything is read
        line = client.line()
        if line.endswith(b"}"):
            client.exactly(int(line[line.rindex(b"{") + 1 : -1]))
        seen += b" OK " in line
    client.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    client.ok("CLOSE")


def nonsense_ends_with_bye():
    for nonsense in [b"c9 NOOP\r\n", b"\xff" * 100, random.Random(3).randbytes(3000), b"\x03\x62\x00\x00"]:
        client = Client()
        client.compress()
        client.ok("NOOP")
        client.raw(nonsense)
        check(client.line().startswith(b"* BYE"), "BYE")
        check(client.is_over(), "the end")


def nothing_is_read_behind_the_end():
    client = Client()
    client.compress()
    client.number += 1
    client.raw(client.deflater.compress(b"c%d NOOP\r\n" % client.number) + client.deflater.flush(zlib.Z_FINISH))
    check(client.tagged()[1].startswith("OK"), "what came before the end")
    client.raw(b"c9 NOOP\r\n")
    check(client.line().startswith(b"* BYE"), "BYE")
    check(client.is_over(), "the end")


def a_bomb_is_refused():
    client = Client()
    client.compress()
    # A line of 64 MB in 64 KB: thrown away as it is made, up to a bound.
    bomb = client.deflater.compress(b"c9 NOOP " + b"x" * 64_000_000) + client.deflater.flush(zlib.Z_SYNC_FLUSH)
    check(len(bomb) < 100_000, "it is small")
    try:
        client.raw(bomb)
    except OSError:
        pass
    while not client.is_over():
        pass
    client = Client()
    client.compress()
    client.number += 1
    client.send(b"c%d LOGIN {99999999+}\r\n" % client.number)
    check(b"TOOBIG" in client.line(), "a literal over its limit")
    check(Client().ok("NOOP") is not None, "the server is well")


def sessions_do_not_mix():
    def session(number):
        user = ["alice", "bob"][number % 2]
        client = Client(user)
        client.compress(number % 9 + 1)
        client.ok(f"CREATE mine-{number}")
        for turn in range(40):
            client.ok(f"STATUS mine-{number} (MESSAGES UIDNEXT)")
            listed = client.ok(f'LIST "" mine-{number}')
            check(listed == [b'* LIST (\\HasNoChildren) "/" "mine-%d"' % number], f"{listed}")
        done.append(number)

    done = []
    threads = [threading.Thread(target=session, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(len(done) == 12, f"all sessions are done: {done}")


offered_once()
strangers_may_not()
for tls, level, flush in [(False, 6, zlib.Z_SYNC_FLUSH), (True, 9, zlib.Z_FULL_FLUSH), (False, 1, zlib.Z_PARTIAL_FLUSH)]:
    much_goes_both_ways(tls, level, flush)
answers_are_small()
pieces_of_a_byte()
idle_is_told()
a_slow_reader_gets_all()
nonsense_ends_with_bye()
nothing_is_read_behind_the_end()
a_bomb_is_refused()
sessions_do_not_mix()
print("all well")
