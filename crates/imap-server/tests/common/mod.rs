//! A server over a store in a temporary folder, and clients that speak to sessions without a socket.
#![allow(dead_code)] // each test program uses its part

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connection::{Event, Io, Next, Session as _, TimeoutKind, TlsState, WakeTarget, Waker};
use directory::{Authenticator, Directory, Entry, Found, LogIns};
use imap_server::session::Session;
use imap_server::{Server, Settings};
use message_store::{MailboxName, NewMessage, Store, StoreLog, StoreSettings};
use server_config::Config;
use server_log::Log;
use tempfile::TempDir;

/// Users joe, amy and admin; their passwords are their names. "locked" may not use IMAP.
struct People(BTreeMap<String, Arc<Entry>>);

impl People {
    fn new() -> People {
        let mut people = BTreeMap::new();
        for uid in ["joe", "amy", "admin", "locked"] {
            let mut attributes = BTreeMap::new();
            let mut set = |name: &str, value: &str| {
                attributes.insert(name.to_owned(), vec![value.to_owned()]);
            };
            set("objectclass", "nsMessagingServerUser");
            set("uid", uid);
            set("mail", &format!("{uid}@example.com"));
            if uid == "locked" {
                set("nsmsgdisallowaccess", "imap");
            }
            let entry = Entry::from_attributes(&format!("uid={uid}"), attributes).unwrap();
            people.insert(uid.to_owned(), Arc::new(entry));
        }
        People(people)
    }
}

impl Directory for People {
    fn by_address(&self, address: &str) -> directory::Result<Found> {
        self.by_uid(address.split('@').next().unwrap_or_default())
    }

    fn by_uid(&self, uid: &str) -> directory::Result<Found> {
        Ok(self.0.get(uid).map_or(Found::Nobody, |entry| Found::One(entry.clone())))
    }

    fn check_password(&self, entry: &Entry, password: &str) -> directory::Result<bool> {
        Ok(entry.uid.as_deref() == Some(password))
    }

    fn check_nobody(&self, _password: &str) {}

    fn users(&self, _after: Option<&str>, _limit: usize) -> directory::Result<Vec<Arc<Entry>>> {
        Ok(self.0.values().cloned().collect())
    }
}

/// A server over its own store.
pub struct Site {
    pub server: Arc<Server>,
    pub store: Store,
    folder: TempDir,
}

impl Site {
    pub fn new() -> Site {
        Site::with("")
    }

    /// With these lines of configuration.
    pub fn with(lines: &str) -> Site {
        Site::open(lines, |_| {}, |_| {})
    }

    /// With these lines of configuration, and settings that no line can say.
    pub fn with_settings(lines: &str, change: impl FnOnce(&mut Settings)) -> Site {
        Site::open(lines, |_| {}, change)
    }

    /// With other settings of the store.
    pub fn with_store(change: impl FnOnce(&mut StoreSettings)) -> Site {
        Site::open("", change, |_| {})
    }

    fn open(
        lines: &str,
        change_store: impl FnOnce(&mut StoreSettings),
        change: impl FnOnce(&mut Settings),
    ) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let mut store_settings = StoreSettings::in_folder(folder.path());
        change_store(&mut store_settings);
        let store = Store::open(store_settings, StoreLog::discard()).unwrap();
        let text = format!("store.admins = admin\nlocal.hostname = mail.example.com\n{lines}");
        let config = Config::from_text(&text).unwrap();
        let authenticator = Authenticator::with_cache(Arc::new(People::new()), Duration::ZERO, 0);
        let mut settings = Settings::from_config(&config);
        // A machine that stands still must not bring a line that no test waits for.
        settings.progress_interval = settings.progress_interval.map(|_| Duration::from_secs(3600));
        change(&mut settings);
        let log_ins = LogIns::new(
            authenticator,
            &config,
            &server_config::Instance::new(folder.path()),
            &Log::discard(),
        )
        .unwrap();
        let clients = dns::Clients::new(dns::Settings::from_config(&Config::empty()), Log::discard());
        let server =
            Server::new(settings, store.clone(), log_ins, clients, Log::discard(), Box::new(|| None));
        Site { server: Arc::new(server), store, folder }
    }

    /// A greeted client on this host.
    pub fn client(&self) -> Client {
        self.client_from([127, 0, 0, 1])
    }

    /// A greeted client at this address.
    pub fn client_from(&self, peer: [u8; 4]) -> Client {
        let bell = Arc::new(Bell::default());
        let (peer, local) = ((peer, 40000).into(), ([127, 0, 0, 1], 143).into());
        let waker = Waker::new(bell.clone(), 0);
        let io = Io::new(peer, local, 143, 7, TlsState::Available, waker);
        let mut client = Client {
            session: Session::new(self.server.clone()),
            io,
            next: Next::Line,
            pauses: Vec::new(),
            bell,
            input: Vec::new(),
            resumed: 0,
            sent_most: 0,
        };
        client.event(Event::Opened);
        client
    }

    /// A client logged in as `uid`; what was said so far is forgotten.
    pub fn user(&self, uid: &str) -> Client {
        let mut client = self.client();
        client.take();
        client.ok(&format!("LOGIN {uid} {uid}"));
        client
    }

    /// The one file of this name below the store.
    pub fn find(&self, name: &str) -> std::path::PathBuf {
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name() == name {
                    return entry.path();
                }
            }
        }
        panic!("there is no {name}");
    }

    /// Puts a message into a mailbox without IMAP.
    pub fn put(&self, mailbox: &str, message: &[u8]) -> u32 {
        let name = MailboxName::parse(mailbox).unwrap();
        if let Some(uid) = name.owner() {
            self.store.ensure_user(uid).unwrap();
        }
        let mailbox = self.store.open_mailbox(&name).unwrap();
        let mut incoming = mailbox.begin_append().unwrap();
        std::io::Write::write_all(&mut incoming, message).unwrap();
        let now = NewMessage { internal_date_ns: 1_000_000_000_000_000_000, ..NewMessage::default() };
        incoming.finish(now).unwrap().uid
    }
}

/// Rings when the session's waker is used.
#[derive(Default)]
pub struct Bell {
    rung: std::sync::Mutex<bool>,
    changed: std::sync::Condvar,
}

impl WakeTarget for Bell {
    fn wake(&self, _token: u64) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl Bell {
    /// Waits until it rings.
    pub fn wait(&self) {
        let rung = self.rung.lock().unwrap();
        let (mut rung, timeout) =
            self.changed.wait_timeout_while(rung, Duration::from_secs(240), |rung| !*rung).unwrap();
        assert!(!timeout.timed_out(), "nobody woke the session");
        *rung = false;
    }
}

/// A session, and what a connection does around it.
pub struct Client {
    session: Session,
    pub io: Io,
    pub next: Next,
    /// What the session wanted to wait, each time.
    pub pauses: Vec<Duration>,
    pub bell: Arc<Bell>,
    input: Vec<u8>,
    /// How often it was called to go on with what it had begun.
    pub resumed: usize,
    /// Most bytes that were queued at once.
    pub sent_most: usize,
}

impl Client {
    pub fn event(&mut self, event: Event<'_>) {
        let next = self.session.on_event(event, &mut self.io);
        self.sent_most = self.sent_most.max(self.io.output.memory());
        if next != Next::Same {
            self.next = next;
        }
    }

    pub fn is_closed(&self) -> bool {
        self.next == Next::Close
    }

    /// What the session said since the last call.
    pub fn take(&mut self) -> String {
        String::from_utf8_lossy(&self.io.output.take_all().unwrap()).into_owned()
    }

    /// Sends bytes and gives everything that is said to them.
    pub fn say(&mut self, bytes: &[u8]) -> String {
        self.input.extend_from_slice(bytes);
        let mut said = self.take();
        loop {
            match self.next {
                Next::Line => {
                    let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else { break };
                    let mut line: Vec<u8> = self.input.drain(..=end).collect();
                    line.pop();
                    let bare_lf = line.last() != Some(&b'\r');
                    line.truncate(line.len() - usize::from(!bare_lf));
                    if line.len() > self.io.line_limit {
                        let start = &line[..line.len().min(300)];
                        self.event(Event::LineTooLong { start });
                    } else {
                        self.event(Event::Line { line: &line, bare_lf });
                    }
                }
                Next::Content(left) => {
                    let count = usize::try_from(left).unwrap().min(self.input.len()).min(1000);
                    if count == 0 && left > 0 {
                        break;
                    }
                    let piece: Vec<u8> = self.input.drain(..count).collect();
                    let left = left - count as u64;
                    self.next = Next::Content(left);
                    self.event(Event::Content { bytes: &piece, last: left == 0 });
                }
                Next::Resume => {
                    said.push_str(&self.take());
                    self.resumed += 1;
                    self.event(Event::Drained);
                }
                Next::Pause(time) if time == directory::log_ins::ANSWER_MAX => {
                    self.bell.wait();
                    self.event(Event::Woken);
                }
                Next::Pause(time) => {
                    self.pauses.push(time);
                    self.event(Event::Timeout(TimeoutKind::Pause));
                }
                Next::StartTls => {
                    self.io.tls = TlsState::Active { protocol: "TLSv1.3", cipher: "TEST".into(), bits: 256 };
                    self.event(Event::TlsStarted);
                }
                Next::Compress(_) => {
                    self.io.is_compressed = true;
                    self.next = Next::Line;
                }
                Next::Stream | Next::Same | Next::Close => break,
            }
        }
        said.push_str(&self.take());
        said
    }

    /// Sends a command with the tag `t`; everything said to it.
    pub fn command(&mut self, command: &str) -> String {
        self.say(format!("t {command}\r\n").as_bytes())
    }

    /// A command that must succeed: its untagged responses.
    pub fn ok(&mut self, command: &str) -> String {
        let said = self.command(command);
        let at = said.rfind("t OK").unwrap_or_else(|| panic!("{command}: {said}"));
        assert!(at == 0 || said[..at].ends_with("\r\n"), "{command}: {said}");
        said[..at].to_owned()
    }

    /// A command that must be refused: the tagged response.
    pub fn refused(&mut self, command: &str) -> String {
        let said = self.command(command);
        let last = said.trim_end().rsplit("\r\n").next().unwrap_or_default().to_owned();
        assert!(last.starts_with("t NO") || last.starts_with("t BAD"), "{command}: {said}");
        last
    }

    /// APPENDs a message that must be taken.
    pub fn append(&mut self, arguments: &str, message: &str) -> String {
        let said =
            self.say(format!("t APPEND {arguments} {{{}+}}\r\n{message}\r\n", message.len()).as_bytes());
        assert!(said.contains("t OK [APPENDUID "), "{said}");
        said
    }
}

/// A small message.
pub fn message(subject: &str) -> String {
    format!(
        "From: Amy <amy@example.com>\r\nTo: joe@example.com\r\nSubject: {subject}\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\n\r\nbody of {subject}\r\n"
    )
}
