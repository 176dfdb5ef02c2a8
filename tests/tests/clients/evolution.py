"""A day of Evolution without its windows: Camel, its mail engine, with the providers that it speaks IMAP, POP and SMTP with.

evolution.py WHAT ACCOUNT.json: the account names host, imap, pop, smtp (ports), user, password, security (none, starttls, tls),
certificate (PEM of the server's, which the user has trusted) and folder (where Evolution keeps its copies). Leaves what it
saw in that folder's answer.json.
"""

import contextlib
import ctypes
import imaplib
import json
import os
import sys
import time

import gi

gi.require_version("Camel", "1.2")
from gi.repository import Camel, Gio, GLib  # noqa: E402

PATIENCE = 200  # seconds; who runs this ends it after 240
ACCOUNT = json.load(open(sys.argv[2], encoding="ascii"))
SECURITY = {
    "none": Camel.NetworkSecurityMethod.NONE,
    "starttls": Camel.NetworkSecurityMethod.STARTTLS_ON_STANDARD_PORT,
    "tls": Camel.NetworkSecurityMethod.SSL_ON_ALTERNATE_PORT,
}[ACCOUNT["security"]]
TRUSTED = ACCOUNT.get("certificate") and Gio.TlsCertificate.new_from_file(ACCOUNT["certificate"])


class Session(Camel.Session):
    """What Evolution itself answers when its engine asks: the password, and whether a certificate is trusted."""

    def __init__(self):
        super().__init__(user_data_dir=ACCOUNT["folder"] + "/data", user_cache_dir=ACCOUNT["folder"] + "/cache")
        self.set_online(True)

    def do_authenticate_sync(self, service, mechanism, cancellable):
        service.set_password(ACCOUNT["password"])
        result = service.authenticate_sync(mechanism, cancellable)
        if result != Camel.AuthenticationResult.ACCEPTED:
            raise GLib.Error.new_literal(Camel.Service.error_quark(), f"not let in: {result}", 0)
        return True

    def do_trust_prompt(self, service, certificate, errors):
        asked.append(service.get_uid())
        ours = TRUSTED and certificate.is_same(TRUSTED)
        return Camel.CertTrust.FULLY if ours else Camel.CertTrust.NEVER

    def do_get_filter_driver(self, kind, for_folder):
        return Camel.FilterDriver.new(self)  # without rules


asked = []


def service(session, provider, kind, mechanism=None, **settings):
    """A service of the account, connected."""
    one = session.add_service(provider, provider, kind)
    ports = {"imapx": ACCOUNT["imap"], "pop": ACCOUNT["pop"], "smtp": ACCOUNT["smtp"]}
    of = one.ref_settings()
    of.set_property("host", ACCOUNT["host"])
    of.set_property("port", ports[provider])
    of.set_property("user", ACCOUNT["user"])
    of.set_property("security-method", SECURITY)
    if mechanism:
        of.set_property("auth-mechanism", mechanism)
    for name, value in settings.items():
        of.set_property(name.replace("_", "-"), value)
    if isinstance(one, Camel.OfflineStore):
        one.set_online_sync(True, None)
    assert one.connect_sync(None), provider
    return one


def store(session, **settings):
    return service(session, "imapx", Camel.ProviderType.STORE, check_all=True, use_subscriptions=False, **settings)


def folder(of, name):
    return of.get_folder_sync(name, Camel.StoreGetFolderFlags.NONE, None)


def message(subject, text="hello\n", to="bob@example.test"):
    one = Camel.MimeMessage()
    source = (
        f"From: {ACCOUNT['user']}@example.test\nTo: {to}\nSubject: {subject}\nDate: Thu, 01 Jan 2026 00:00:00 +0000\n"
        f"Message-ID: <{subject.replace(' ', '-')}@example.test>\nMIME-Version: 1.0\nContent-Type: text/plain\n\n{text}"
    )
    stream = Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(source.encode()))
    assert one.construct_from_input_stream_sync(stream, None)
    return one


ALL = 0xFFFF  # whichever flags are named first
FLAGS = {
    "\\Answered": Camel.MessageFlags.ANSWERED,
    "\\Deleted": Camel.MessageFlags.DELETED,
    "\\Draft": Camel.MessageFlags.DRAFT,
    "\\Flagged": Camel.MessageFlags.FLAGGED,
    "\\Seen": Camel.MessageFlags.SEEN,
}


def known(of):
    """What Evolution shows of a folder: subject and flags."""
    rows = []
    for uid in of.get_uids():
        info = of.get_message_info(uid)
        flags = info.get_flags()
        words = info.dup_user_flags()
        words = [words.get(at) for at in range(words.get_length())] if words else []
        rows.append([info.get_subject(), sorted([name for name, bit in FLAGS.items() if flags & bit] + words)])
    return sorted(rows)


def uid_of(of, subject):
    return next(uid for uid in of.get_uids() if of.get_message_info(uid).get_subject() == subject)


def shown(of, subject):
    return of.get_message_info(uid_of(of, subject))


@contextlib.contextmanager
def other_client():
    """Somebody else's session on the same account."""
    imap = imaplib.IMAP4(ACCOUNT["host"], ACCOUNT["plain"], timeout=PATIENCE)
    imap.login(ACCOUNT["user"], ACCOUNT["password"])
    yield imap
    imap.logout()


def must(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def letter(imap, mailbox, subject, flags=""):
    text = f"From: a@b.test\r\nSubject: {subject}\r\nMessage-ID: <{subject.replace(' ', '-')}@b.test>\r\n\r\n{subject}\r\n"
    must(imap.append(mailbox, flags, None, text.encode()))


def wait_for(what, condition):
    """Until the engine shows it, by what it hears from the server: nothing is asked for here."""
    loop, end = GLib.MainContext.default(), time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        loop.iteration(False)
        time.sleep(0.01)


class FolderInfo(ctypes.Structure):
    """The beginning of CamelFolderInfo (camel-store.h), whose `next` and `child` are plain pointers for Python."""


FolderInfo._fields_ = [
    ("next", ctypes.POINTER(FolderInfo)),
    ("parent", ctypes.POINTER(FolderInfo)),
    ("child", ctypes.POINTER(FolderInfo)),
    ("full_name", ctypes.c_char_p),
]


def names(of):
    """The folders that it shows."""
    flags = Camel.StoreGetFolderInfoFlags.RECURSIVE | Camel.StoreGetFolderInfoFlags.REFRESH
    first = of.get_folder_info_sync(None, flags, None)
    found, rest = [first.full_name], [address for address in (first.next, first.child) if address]
    rest = [FolderInfo.from_address(address) for address in rest]
    while rest:
        info = rest.pop()
        found.append(info.full_name.decode())
        rest += [pointer.contents for pointer in (info.next, info.child) if pointer]
    return sorted(found)


def one_day():
    """Folders, messages, flags, moves; answers what the engine shows in the end."""
    session = Session()
    far = store(session, use_idle=False)
    for name, parent in [("Work", ""), ("Old", "Work"), ("Käse", ""), ("Gone", ""), ("with blanks", "")]:
        far.create_folder_sync(parent, name, None)
    far.delete_folder_sync("Gone", None)
    far.rename_folder_sync("Work/Old", "Work/Older", None)
    far.subscribe_folder_sync("Work", None)
    far.unsubscribe_folder_sync("with blanks", None)
    inbox, work, kase = folder(far, "INBOX"), folder(far, "Work"), folder(far, "Käse")
    inbox.refresh_info_sync(None)
    for number in range(3):
        info = Camel.MessageInfo.new(None)
        info.set_flags(ALL, [0, Camel.MessageFlags.SEEN, Camel.MessageFlags.FLAGGED][number])
        ok, _ = work.append_message_sync(message(f"appended {number}"), info, None)
        assert ok
    # The body that was fetched is what was stored.
    body = inbox.get_message_sync(uid_of(inbox, "letter 2"), None)
    stream = Gio.MemoryOutputStream.new_resizable()
    body.write_to_output_stream_sync(stream, None)
    stream.close(None)
    read = stream.steal_as_bytes().get_data().decode()
    assert "\n\n.dot\nFrom here 2\n" in read.replace("\r\n", "\n"), read
    shown(inbox, "letter 2").set_flags(Camel.MessageFlags.SEEN | Camel.MessageFlags.ANSWERED, ALL)
    shown(inbox, "letter 3").set_user_flag("$Label1", True)
    shown(inbox, "letter 0").set_flags(Camel.MessageFlags.SEEN, 0)
    inbox.synchronize_sync(False, None)
    inbox.transfer_messages_to_sync([uid_of(inbox, "letter 1"), uid_of(inbox, "letter 3")], work, False, None)
    inbox.transfer_messages_to_sync([uid_of(inbox, "letter 4")], kase, True, None)
    shown(inbox, "letter 5").set_flags(Camel.MessageFlags.DELETED, ALL)
    inbox.synchronize_sync(True, None)
    shown(work, "appended 1").set_flags(Camel.MessageFlags.DELETED, ALL)
    work.expunge_sync(None)
    for one in (inbox, work, kase):
        one.refresh_info_sync(None)
    answer = {"names": names(far)}
    answer["shown"] = {one.get_full_name(): known(one) for one in (inbox, work, kase)}
    far.disconnect_sync(True, None)
    return answer


def away():
    """Evolution is started again with the copies of its last run; then another client works while it looks elsewhere."""
    session = Session()
    far = store(session, use_idle=False, use_qresync=True, concurrent_connections=1)
    inbox, work = folder(far, "INBOX"), folder(far, "Work")
    answer = {"kept": known(inbox)}
    inbox.refresh_info_sync(None)
    answer["looked"] = known(inbox)
    work.get_message_sync(uid_of(work, "letter 1"), None)
    with other_client() as imap:
        must(imap.select("INBOX"))
        for subject, flag in [("letter 1", "\\Flagged"), ("letter 2", "\\Deleted")]:
            uid = must(imap.uid("SEARCH", None, "SUBJECT", f'"{subject}"'))[0].decode()
            must(imap.uid("STORE", uid, "+FLAGS", f"({flag})"))
        must(imap.expunge())
        letter(imap, "INBOX", "meanwhile", "(\\Seen)")
    inbox.refresh_info_sync(None)
    answer["back"] = known(inbox)
    far.disconnect_sync(True, None)
    return answer


def watched():
    """INBOX open, and nothing asked for: what another client changes is shown."""
    session = Session()
    far = store(session, use_idle=True)
    inbox = folder(far, "INBOX")
    inbox.refresh_info_sync(None)
    first = known(inbox)
    with other_client() as imap:
        letter(imap, "INBOX", "came in")
        wait_for("the new message", lambda: ["came in", []] in known(inbox))
        must(imap.select("INBOX"))
        uid = must(imap.uid("SEARCH", None, "SUBJECT", '"letter 0"'))[0].decode()
        must(imap.uid("STORE", uid, "+FLAGS", "(\\Flagged)"))
        wait_for("the flag", lambda: any(row[0] == "letter 0" and "\\Flagged" in row[1] for row in known(inbox)))
        must(imap.uid("STORE", uid, "+FLAGS", "(\\Deleted)"))
        must(imap.expunge())
        wait_for("the expunge", lambda: all(row[0] != "letter 0" for row in known(inbox)))
    answer = {"first": first, "last": known(inbox)}
    far.disconnect_sync(True, None)
    return answer


def sent():
    """A message by SMTP with AUTH."""
    session = Session()
    out = service(session, "smtp", Camel.ProviderType.TRANSPORT, mechanism=ACCOUNT.get("mechanism", "PLAIN"))
    sender, to = Camel.InternetAddress(), Camel.InternetAddress()
    sender.add("", f"{ACCOUNT['user']}@example.test")
    to.add("", "bob@example.test")
    result = out.send_to_sync(message("by Evolution", "hello\n.dot\nFrom here\n"), sender, to, None)
    out.disconnect_sync(True, None)
    return {"sent": bool(result[0] if isinstance(result, tuple) else result), "trust": len(asked)}


def popped():
    """What is in the maildrop, as POP gives it."""
    session = Session()
    far = service(session, "pop", Camel.ProviderType.STORE, keep_on_server=False, delete_expunged=True, enable_utf8=False)
    inbox = far.get_inbox_folder_sync(None)
    inbox.refresh_info_sync(None)
    subjects = []
    for uid in inbox.get_uids():
        subjects.append(inbox.get_message_sync(uid, None).get_subject())
    for uid in inbox.get_uids():
        if inbox.get_message_sync(uid, None).get_subject() in ("letter 1", "letter 3"):
            inbox.set_message_flags(uid, Camel.MessageFlags.DELETED, ALL)
    inbox.synchronize_sync(True, None)
    far.disconnect_sync(True, None)
    return {"subjects": sorted(subjects), "trust": len(asked)}


os.makedirs(ACCOUNT["folder"], exist_ok=True)
Camel.init(ACCOUNT["folder"], True)
Camel.provider_init()
WHAT = {"day": one_day, "away": away, "watched": watched, "sent": sent, "popped": popped}
# Not on the way of the engine's debug text: its threads go on writing there.
with open(ACCOUNT["folder"] + "/answer.json", "w", encoding="ascii") as file:
    json.dump(WHAT[sys.argv[1]](), file)
