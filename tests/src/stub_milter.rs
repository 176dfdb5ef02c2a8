//! A mail filter, scripted: what it answers to each command, when it is slow, silent, wrong or gone.
//!
//! Without rules it says "continue" to everything. A rule gives other answers to a command, by its code:
//!
//! ```no_run
//! use black_box::stub_milter::{Answer, StubMilter};
//! let filter = StubMilter::new()
//!     .on('R', "<nobody@", &[Answer::refuse("550 5.1.1 no such user")])
//!     .on('E', "", &[Answer::add_header("X-Seen", "yes"), Answer::go_on()])
//!     .start();
//! // ... let something ask filter.address() ...
//! filter.wait_for("E");
//! ```
//!
//! Everything that was told to it is kept, one line for each command: its code, then its strings, separated by `|`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::instance::PATIENCE;

/// Steps that are left out or not answered, as in `SMFIP_*`.
pub const NO_BODY: u32 = 0x10;
pub const NO_HEADERS: u32 = 0x20;
pub const NR_HEADER: u32 = 0x80;
pub const NO_UNKNOWN: u32 = 0x100;
pub const SKIP: u32 = 0x400;
pub const RCPT_REJECTED: u32 = 0x800;
pub const NR_CONNECT: u32 = 0x1000;
pub const LEADING_SPACE: u32 = 0x10_0000;

/// What the filter does when it is told something.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A packet: its code and data.
    Packet(u8, Vec<u8>),
    /// Bytes as they are.
    Raw(Vec<u8>),
    Wait(Duration),
    /// Says nothing more until the other end has gone.
    Silence,
    Close,
}

impl Answer {
    pub fn go_on() -> Answer {
        Answer::plain('c')
    }

    /// A reply without data.
    pub fn plain(code: char) -> Answer {
        Answer::Packet(code as u8, Vec::new())
    }

    fn strings(code: char, number: Option<u32>, strings: &[&str]) -> Answer {
        let mut data = number.map(|number| number.to_be_bytes().to_vec()).unwrap_or_default();
        for text in strings {
            data.extend_from_slice(text.as_bytes());
            data.push(0);
        }
        Answer::Packet(code as u8, data)
    }

    /// `550 5.7.1 text`
    pub fn refuse(text: &str) -> Answer {
        Answer::strings('y', None, &[text])
    }
    pub fn add_header(name: &str, value: &str) -> Answer {
        Answer::strings('h', None, &[name, value])
    }
    pub fn insert_header(place: u32, name: &str, value: &str) -> Answer {
        Answer::strings('i', Some(place), &[name, value])
    }
    pub fn change_header(nth: u32, name: &str, value: &str) -> Answer {
        Answer::strings('m', Some(nth), &[name, value])
    }
    pub fn change_sender(path: &str) -> Answer {
        Answer::strings('e', None, &[path])
    }
    pub fn add_recipient(path: &str) -> Answer {
        Answer::strings('+', None, &[path])
    }
    pub fn add_recipient_with(path: &str, arguments: &str) -> Answer {
        Answer::strings('2', None, &[path, arguments])
    }
    pub fn delete_recipient(path: &str) -> Answer {
        Answer::strings('-', None, &[path])
    }
    pub fn quarantine(why: &str) -> Answer {
        Answer::strings('q', None, &[why])
    }
    pub fn body(piece: &str) -> Answer {
        Answer::Packet(b'b', piece.as_bytes().to_vec())
    }
}

struct Rule {
    code: char,
    text: String,
    /// Only the first so many times.
    left: Option<usize>,
    answers: Vec<Answer>,
}

/// See the head of this file.
pub struct Script {
    version: u32,
    actions: u32,
    protocol: u32,
    macros: Vec<(u32, String)>,
    /// Answers to the option negotiation in the place of the right one.
    negotiation: Option<Vec<Answer>>,
    rules: Vec<Rule>,
    socket: Option<PathBuf>,
}

impl Script {
    /// Answers to a command of this code whose line contains `text`. Later rules come first.
    #[must_use]
    pub fn on(mut self, code: char, text: &str, answers: &[Answer]) -> Script {
        self.rules.insert(0, Rule { code, text: text.to_owned(), left: None, answers: answers.to_vec() });
        self
    }

    /// The same, once.
    #[must_use]
    pub fn once(mut self, code: char, text: &str, answers: &[Answer]) -> Script {
        let answers = answers.to_vec();
        self.rules.insert(0, Rule { code, text: text.to_owned(), left: Some(1), answers });
        self
    }

    /// What it chooses of the steps, of all that are offered.
    #[must_use]
    pub fn protocol(mut self, bits: u32) -> Script {
        self.protocol = bits;
        self
    }

    #[must_use]
    pub fn version(mut self, version: u32) -> Script {
        self.version = version;
        self
    }

    #[must_use]
    pub fn actions(mut self, actions: u32) -> Script {
        self.actions = actions;
        self
    }

    /// Asks for macros at a stage.
    #[must_use]
    pub fn wants_macros(mut self, stage: u32, names: &str) -> Script {
        self.macros.push((stage, names.to_owned()));
        self
    }

    /// Says this to the negotiation.
    #[must_use]
    pub fn negotiates(mut self, answers: &[Answer]) -> Script {
        self.negotiation = Some(answers.to_vec());
        self
    }

    /// Listens on a Unix socket instead of a port.
    #[must_use]
    pub fn at(mut self, socket: &Path) -> Script {
        self.socket = Some(socket.to_owned());
        self
    }

    pub fn start(self) -> StubMilter {
        let shared =
            Arc::new(Shared { script: Mutex::new(self), told: Mutex::default(), more: Condvar::new() });
        let socket = shared.script.lock().unwrap().socket.clone();
        let serving = shared.clone();
        let address = match socket {
            Some(path) => {
                let listener = UnixListener::bind(&path).unwrap();
                std::thread::spawn(move || {
                    for (number, stream) in listener.incoming().enumerate() {
                        let (shared, mut stream) = (serving.clone(), stream.unwrap());
                        std::thread::spawn(move || shared.serve(number, &mut stream));
                    }
                });
                format!("unix:{}", path.display())
            }
            None => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address: SocketAddr = listener.local_addr().unwrap();
                std::thread::spawn(move || {
                    for (number, stream) in listener.incoming().enumerate() {
                        let (shared, mut stream) = (serving.clone(), stream.unwrap());
                        std::thread::spawn(move || shared.serve(number, &mut stream));
                    }
                });
                format!("inet:{}@{}", address.port(), address.ip())
            }
        };
        StubMilter { address, shared }
    }
}

struct Shared {
    script: Mutex<Script>,
    /// With the number of the connection.
    told: Mutex<Vec<(usize, String)>>,
    more: Condvar,
}

/// A filter that runs. It is reachable as long as the test's process lives.
pub struct StubMilter {
    address: String,
    shared: Arc<Shared>,
}

impl StubMilter {
    /// A filter that wants everything and changes nothing.
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> Script {
        let (version, actions, protocol) = (6, 0x1ff, 0);
        Script {
            version,
            actions,
            protocol,
            macros: Vec::new(),
            negotiation: None,
            rules: Vec::new(),
            socket: None,
        }
    }

    /// As a parameter has it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it was told so far; `R|<a@b>` and the like. Macros are `D|code|name|value|..`.
    pub fn told(&self) -> Vec<String> {
        self.shared.told.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// The same without macros and option negotiation.
    pub fn commands(&self) -> Vec<String> {
        self.told().into_iter().filter(|line| !line.starts_with(['D', 'O'])).collect()
    }

    /// How many connections have said something.
    pub fn connections(&self) -> usize {
        let told = self.shared.told.lock().unwrap();
        told.iter().map(|(number, _)| number + 1).max().unwrap_or(0)
    }

    /// The value of a macro that came with a command, the last time.
    pub fn macro_value(&self, code: char, name: &str) -> Option<String> {
        let start = format!("D|{code}|");
        let told = self.told();
        let all = told.iter().filter_map(|line| line.strip_prefix(&start));
        let mut values = all.filter_map(|line| {
            let words: Vec<&str> = line.split('|').collect();
            words.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].to_owned())
        });
        values.next_back()
    }

    /// Waits until a line that begins so was told, and gives it.
    pub fn wait_for(&self, start: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut told = self.shared.told.lock().unwrap();
        loop {
            if let Some((_, line)) = told.iter().find(|(_, line)| line.starts_with(start)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the filter was not told {start}: {told:?}");
            told = self.shared.more.wait_timeout(told, left).unwrap().0;
        }
    }
}

impl Shared {
    fn serve(&self, number: usize, stream: &mut (impl Read + Write)) {
        while let Ok((code, data)) = packet(stream) {
            let line = line(code, &data);
            let answers = self.answers(code, &line);
            self.told.lock().unwrap().push((number, line));
            self.more.notify_all();
            for answer in answers {
                if !act(stream, &answer) {
                    return;
                }
            }
        }
    }

    fn answers(&self, code: u8, line: &str) -> Vec<Answer> {
        let mut script = self.script.lock().unwrap();
        if code == b'O' {
            return script.negotiation.clone().unwrap_or_else(|| vec![script.options()]);
        }
        let fits = |rule: &&mut Rule| {
            rule.code == char::from(code) && rule.left != Some(0) && line.contains(&rule.text)
        };
        if let Some(rule) = script.rules.iter_mut().find(fits) {
            rule.left = rule.left.map(|left| left - 1);
            return rule.answers.clone();
        }
        let unanswered = match code {
            b'C' => NR_CONNECT,
            b'L' => NR_HEADER,
            b'A' | b'Q' | b'K' | b'D' => u32::MAX,
            _ => 0,
        };
        let silent = unanswered == u32::MAX || script.protocol & unanswered != 0;
        if silent { Vec::new() } else { vec![Answer::go_on()] }
    }
}

impl Script {
    fn options(&self) -> Answer {
        let mut data = Vec::new();
        for number in [self.version, self.actions, self.protocol] {
            data.extend_from_slice(&number.to_be_bytes());
        }
        for (stage, names) in &self.macros {
            data.extend_from_slice(&stage.to_be_bytes());
            data.extend_from_slice(names.as_bytes());
            data.push(0);
        }
        Answer::Packet(b'O', data)
    }
}

/// Whether the connection goes on.
fn act(stream: &mut (impl Read + Write), answer: &Answer) -> bool {
    match answer {
        Answer::Packet(code, data) => {
            let mut bytes = u32::try_from(data.len() + 1).unwrap().to_be_bytes().to_vec();
            bytes.push(*code);
            bytes.extend_from_slice(data);
            stream.write_all(&bytes).is_ok()
        }
        Answer::Raw(bytes) => stream.write_all(bytes).is_ok(),
        Answer::Wait(time) => {
            std::thread::sleep(*time);
            true
        }
        Answer::Silence => {
            while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
            false
        }
        Answer::Close => false,
    }
}

fn packet(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut packet = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut packet)?;
    Ok((packet[0], packet.split_off(1)))
}

fn line(code: u8, data: &[u8]) -> String {
    let code = char::from(code);
    let strings = |data: &[u8]| {
        let text = String::from_utf8_lossy(data).replace('\0', "|");
        text.strip_suffix('|').map(str::to_owned).unwrap_or(text)
    };
    match code {
        'O' => {
            format!("O|{}", data.chunks(4).map(|n| format!("{:x}", number(n))).collect::<Vec<_>>().join("|"))
        }
        'D' if data.len() > 1 => format!("D|{}|{}", char::from(data[0]), strings(&data[1..])),
        'C' => match data.iter().position(|byte| *byte == 0) {
            Some(end) if data.len() > end + 4 => {
                let port = u16::from_be_bytes([data[end + 2], data[end + 3]]);
                let (host, family) = (strings(&data[..end]), char::from(data[end + 1]));
                format!("C|{host}|{family}|{port}|{}", strings(&data[end + 4..]))
            }
            _ => format!("C|{}", strings(data)),
        },
        _ if data.is_empty() => code.to_string(),
        _ => format!("{code}|{}", strings(data)),
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}
