"""jmapc, somebody else's JMAP client library, strict as it is, reads and sends mail: jmap.py ADDRESS HTTPS-PORT CA"""

import os
import socket
import sys
import time

address, port, ca = sys.argv[1:4]
os.environ["REQUESTS_CA_BUNDLE"] = ca
look_up = socket.getaddrinfo
# The certificate is for localhost; each instance has an address of its own.
socket.getaddrinfo = lambda host, *rest, **named: look_up(address if host == "localhost" else host, *rest, **named)

from jmapc import Address, Client, Email, EmailAddress, EmailBodyPart, EmailBodyValue, EmailHeader, EmailQueryFilterCondition
from jmapc import EmailSubmission, Envelope, Mailbox, MailboxQueryFilterCondition, Ref
from jmapc.methods import CoreEcho, EmailChanges, EmailGet, EmailQuery, EmailSet, EmailSubmissionSet, IdentityGet
from jmapc.methods import MailboxGet, MailboxQuery, MailboxSet, SearchSnippetGet, ThreadGet


def client(user):
    return Client.create_with_password(f"localhost:{port}", user, f"{user}-secret")


alice, bob = client("alice"), client("bob")
assert alice.jmap_session.username == "alice", alice.jmap_session
assert alice.request(CoreEcho(data={"hello": "world"})).data == {"hello": "world"}

# Mailboxes: found by role, made, and there.
found = alice.request([MailboxQuery(filter=MailboxQueryFilterCondition(role="inbox")), MailboxGet(ids=Ref("/ids"))])
inbox = found[1].response.data[0]
assert (inbox.name, inbox.role) == ("Inbox", "inbox"), inbox
made = alice.request(MailboxSet(create={"d": Mailbox(name="Entwürfe", role="drafts"), "s": Mailbox(name="Sent", role="sent")}))
drafts, sent = made.created["d"].id, made.created["s"].id

# A draft with text and an attachment, sent, and filed among what was sent.
identity = alice.request(IdentityGet()).data[0]
assert identity.email.startswith("alice@"), identity
to = bob.request(IdentityGet()).data[0].email
with open("/tmp/jmapc-%d.txt" % os.getpid(), "w+b") as file:
    file.write(b"attached\n")
    file.flush()
    blob = alice.upload_blob(file.name)
    os.unlink(file.name)
draft = Email(
    mail_from=[EmailAddress(name="Älice", email=identity.email)],
    to=[EmailAddress(name="Bob", email=to)],
    subject="Grüße von jmapc",
    keywords={"$draft": True},
    mailbox_ids={drafts: True},
    body_values={"body": EmailBodyValue(value="Hallo Bob,\nschöne Grüße.\n")},
    text_body=[EmailBodyPart(part_id="body", type="text/plain")],
    attachments=[EmailBodyPart(blob_id=blob.id, name="Anhang für Bob.txt", type="text/plain")],
    headers=None,
)
results = alice.request([
    EmailSet(create={"draft": draft}),
    EmailSubmissionSet(
        create={"send": EmailSubmission(email_id="#draft", identity_id=identity.id,
                                        envelope=Envelope(mail_from=Address(email=identity.email), rcpt_to=[Address(email=to)]))},
        on_success_update_email={"#send": {f"mailboxIds/{drafts}": None, f"mailboxIds/{sent}": True, "keywords/$draft": None}},
    ),
])
assert results[0].response.created and results[0].response.created["draft"].id, results
assert results[1].response.created and results[1].response.created["send"].id, results

# It comes to bob.
deadline = time.monotonic() + 60
while True:
    query = bob.request([EmailQuery(filter=EmailQueryFilterCondition(header=["Subject", "grüße JMAPC"])), EmailGet(ids=Ref("/ids"), fetch_text_body_values=True)])
    if query[0].response.ids:
        break
    assert time.monotonic() < deadline, "nothing came"
    time.sleep(0.1)
state = query[1].response.state
got = query[1].response.data[0]
assert got.subject == draft.subject and got.mail_from[0].name == "Älice", got
assert got.body_values[got.text_body[0].part_id].value == "Hallo Bob,\nschöne Grüße.\n", got.body_values
assert got.attachments[0].name == "Anhang für Bob.txt", got.attachments
bob.download_attachment(got.attachments[0], "/tmp/jmapc-%d.out" % os.getpid())
with open("/tmp/jmapc-%d.out" % os.getpid(), "rb") as file:
    assert file.read() == b"attached\n"
os.unlink(file.name)
assert bob.request(ThreadGet(ids=[got.thread_id])).data[0].email_ids == [got.id]
snippet = bob.request(SearchSnippetGet(ids=[got.id], filter=EmailQueryFilterCondition(text="schöne"))).data[0]
assert "<mark>schöne</mark>" in snippet.preview, snippet

# Read, and gone; changes tell it.
bob.request(EmailSet(update={got.id: {"keywords/$seen": True}}))
changed = bob.request(EmailChanges(since_state=state))
assert changed.updated == [got.id] and not changed.created and not changed.destroyed, changed
bob.request(EmailSet(destroy=[got.id]))
changed = bob.request(EmailChanges(since_state=changed.new_state))
assert changed.destroyed == [got.id], changed

# alice's copy is among what was sent.
while True:
    mine = alice.request([EmailQuery(), EmailGet(ids=Ref("/ids"), properties=["mailboxIds", "keywords"])])[1].response.data
    if mine and mine[0].mailbox_ids == {sent: True}:
        break
    assert time.monotonic() < deadline, mine
    time.sleep(0.1)
assert "$draft" not in mine[0].keywords, mine
print("all well")
