"""A day with Python's mail libraries: submission, IMAP, POP. Prints "all well" at the end.

usage: clients.py ADDRESS SMTP SUBMISSION IMAP IMAPS POP POPS CA
"""

import email
import email.policy
import imaplib
import poplib
import smtplib
import ssl
import sys
import time
from email.message import EmailMessage

address = sys.argv[1]
smtp_port, submission, imap_port, imaps, pop_port, pops = map(int, sys.argv[2:8])
trust = ssl.create_default_context(cafile=sys.argv[8])
trust.check_hostname = False  # the address is the test's own


def check(condition, what):
    if not condition:
        sys.exit(f"not so: {what}")


message = EmailMessage(policy=email.policy.SMTP)
message["From"] = "Alice <alice@example.test>"
message["To"] = "bob@example.test"
message["Subject"] = "Grüße aus Köln"
message.set_content("Äpfel und Birnen\n.ein Punkt\n")
message.add_attachment(b"\x00\x01\x02" * 1000, maintype="application", subtype="octet-stream", filename="bytes.bin")

with smtplib.SMTP(address, submission, timeout=60) as smtp:
    smtp.starttls(context=trust)
    smtp.login("alice@example.test", "alice-secret")
    check(not smtp.send_message(message), "every recipient is accepted")
    code, _ = smtp.docmd("RSET")
    check(code == 250, "RSET")
    try:
        smtp.sendmail("alice@example.test", ["nobody@example.test"], "Subject: x\r\n\r\nx")
        sys.exit("not so: an unknown user is refused")
    except smtplib.SMTPRecipientsRefused as refused:
        check(refused.recipients["nobody@example.test"][0] == 550, "550")

imap = imaplib.IMAP4_SSL(address, imaps, ssl_context=trust, timeout=60)
check(imap.login("bob@example.test", "bob-secret")[0] == "OK", "LOGIN")
give_up = time.monotonic() + 60
while True:
    status, count = imap.select("INBOX")
    check(status == "OK", "SELECT")
    if int(count[0]) == 1:
        break
    check(time.monotonic() < give_up, "the message arrives")
status, data = imap.fetch("1", "(RFC822.SIZE UID FLAGS INTERNALDATE BODY.PEEK[])")
check(status == "OK", "FETCH")
raw = data[0][1]
check(f"RFC822.SIZE {len(raw)}".encode() in data[0][0], "RFC822.SIZE is the size")
parsed = email.message_from_bytes(raw, policy=email.policy.default)
check(parsed["Subject"] == "Grüße aus Köln", "the subject")
check(parsed.get_body().get_content().replace("\r\n", "\n") == "Äpfel und Birnen\n.ein Punkt\n", "the text")
check(next(parsed.iter_attachments()).get_content() == b"\x00\x01\x02" * 1000, "the attachment")
status, data = imap.fetch("1", "(ENVELOPE BODYSTRUCTURE)")
check(b'"Alice" NIL "alice" "example.test"' in data[0], "ENVELOPE")
check(b'"mixed"' in data[0].lower() and b'"bytes.bin"' in data[0], "BODYSTRUCTURE")
check(imap.create("Projekte/Köln".encode("utf-7").replace(b"+", b"&").decode())[0] == "OK", "CREATE")
status, boxes = imap.list()
check(status == "OK" and any(b"Projekte/K&APY-ln" in box for box in boxes), "LIST")
check(imap.copy("1", "Projekte/K&APY-ln")[0] == "OK", "COPY")
check(imap.store("1", "+FLAGS", "(\\Seen $Work)")[0] == "OK", "STORE")
check(imap.search(None, "KEYWORD", "$Work")[1] == [b"1"], "SEARCH KEYWORD")
imap.literal = "Grüße".encode()
check(imap.search("UTF-8", "SUBJECT")[1] == [b"1"], "SEARCH in UTF-8")
check(imap.append("INBOX", "(\\Draft)", imaplib.Time2Internaldate(1_000_000_000), b"Subject: mine\r\n\r\nx\r\n")[0] == "OK", "APPEND")
check(imap.noop()[0] == "OK" and imap.search(None, "DRAFT")[1] == [b"2"], "SEARCH DRAFT")
kept = imaplib.Internaldate2tuple(imap.fetch("2", "INTERNALDATE")[1][0])
check(int(time.mktime(kept)) == 1_000_000_000, "INTERNALDATE")
check(imap.store("2", "+FLAGS", "\\Deleted")[0] == "OK" and imap.expunge()[1] == [b"2"], "EXPUNGE")
check(imap.uid("SEARCH", None, "ALL")[1] == [b"1"], "UID SEARCH")
check(imap.logout()[0] == "BYE", "LOGOUT")

pop = poplib.POP3_SSL(address, pops, context=trust, timeout=60)
pop.user("bob@example.test")
pop.pass_("bob-secret")
count, octets = pop.stat()
check((count, octets) == (1, len(raw)), "STAT")
check(b"\r\n".join(pop.retr(1)[1]) + b"\r\n" == raw, "RETR is what IMAP gave")
check(len(pop.top(1, 0)[1]) < len(pop.retr(1)[1]), "TOP")
uid = pop.uidl(1)
pop.dele(1)
pop.rset()
check(pop.stat()[0] == 1, "RSET")
pop.dele(1)
pop.quit()
plain = poplib.POP3(address, pop_port, timeout=60)
plain.stls(context=trust)
plain.user("bob")
plain.pass_("bob-secret")
check(plain.stat() == (0, 0), "DELE at QUIT")
plain.quit()
print("all well")
