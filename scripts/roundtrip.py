"""Sends a message from USER1 to USER2 by submission, reads it back over IMAP and over POP, and says how long it took.

usage: roundtrip.py CONNECT_ENV. Exit status 0 when the message came back unchanged both ways. The mailbox is left as it
was but for the message, which stays as a welcome.
"""

import imaplib
import poplib
import shlex
import smtplib
import ssl
import sys
import time
import uuid

LIMIT_SECONDS = 30


def settings(path):
    with open(path, encoding="utf-8") as lines:
        words = [word for line in lines for word in shlex.split(line) if "=" in word]
        return dict(word.split("=", 1) for word in words)


def send(env, trust, token):
    text = (
        f"From: Alice <{env['USER1']}>\r\nTo: Bob <{env['USER2']}>\r\nSubject: Welcome aboard {token}\r\n\r\n"
        "This message went in by SMTP submission and lies in bob's INBOX as a plain file.\r\n"
    )
    with smtplib.SMTP(env["HOST"], int(env["SUBMISSION_PORT"]), timeout=LIMIT_SECONDS) as smtp:
        smtp._host = "localhost"  # the name in the certificate
        smtp.starttls(context=trust)
        smtp.login(env["USER1"], env["PASS1"])
        started = time.monotonic()
        smtp.sendmail(env["USER1"], [env["USER2"]], text)
    return started


def wait_by_imap(env, trust, token):
    imap = imaplib.IMAP4_SSL("localhost", int(env["IMAPS_PORT"]), ssl_context=trust, timeout=LIMIT_SECONDS)
    imap.login(env["USER2"], env["PASS2"])
    give_up = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < give_up:
        imap.select("INBOX", readonly=True)
        _, found = imap.search(None, "SUBJECT", token)
        if found[0]:
            seen = time.monotonic()
            _, data = imap.fetch(found[0].split()[-1], "(BODY.PEEK[])")
            imap.logout()
            return seen, data[0][1]
        time.sleep(0.002)
    sys.exit("roundtrip: the message did not arrive; see log/smtp/smtp in the instance")


def read_by_pop(env, trust, token):
    pop = poplib.POP3_SSL("localhost", int(env["POPS_PORT"]), context=trust, timeout=LIMIT_SECONDS)
    pop.user(env["USER2"])
    pop.pass_(env["PASS2"])
    count, _ = pop.stat()
    for number in range(count, 0, -1):
        message = b"\r\n".join(pop.retr(number)[1]) + b"\r\n"
        if token.encode() in message:
            pop.quit()
            return message
    sys.exit("roundtrip: POP does not show the message that IMAP shows")


def main():
    env = settings(sys.argv[1])
    try:
        go_round(env)
    except (imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPException) as refusal:
        text = refusal.args[-1] if refusal.args else refusal
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        hint = ""
        if "password" in str(text):
            hint = f" (the passwords in {sys.argv[1]} are those of the first day: write the new ones there)"
        sys.exit(f"roundtrip: the server says: {text}{hint}")
    except OSError as trouble:
        sys.exit(f"roundtrip: {trouble}")


def go_round(env):
    trust = ssl.create_default_context(cafile=env["CA_FILE"])
    token = uuid.uuid4().hex[:12]
    started = send(env, trust, token)
    seen, by_imap = wait_by_imap(env, trust, token)
    by_pop = read_by_pop(env, trust, token)
    if by_imap != by_pop:
        sys.exit("roundtrip: IMAP and POP show different bytes for the same message")
    print(f"alice -> submission -> bob: read back over IMAP and POP, delivered in {(seen - started) * 1000:.0f} ms")


main()
