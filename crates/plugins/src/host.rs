//! Connections to pluginhost. One is used by one question at a time, and again when that was answered as it should be.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use server_config::parameters::service_smtp_modules;
use server_config::{Config, Instance};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::wire::Frame;

/// Connections that are kept while nobody asks anything.
const IDLE_MAX: usize = 16;

/// What a plug-in of the stage says of a message: `MSG_NOACTION`, `MSG_CONTINUE`.
pub const NO_ACTION: u8 = b'2';
pub const CONTINUE: u8 = b'4';

/// The process that runs plug-ins, from its client's side.
pub struct Host {
    socket: PathBuf,
    timeout: Duration,
    idle: Mutex<Vec<UnixStream>>,
}

/// A message as plug-ins are shown it.
#[derive(Debug)]
pub struct Message<'a> {
    pub stage: crate::Stage,
    /// Header and body, RFC 822, CR LF; plug-ins may change it or put another in its place.
    pub file: &'a Path,
    /// Control data.
    pub control: Vec<(&'static str, String)>,
    pub recipients: Vec<&'a str>,
}

/// What became of the envelope of one that was changed; the content is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// Empty: the null reverse-path.
    pub sender: String,
    pub recipients: Vec<String>,
}

/// Where the process listens.
pub fn socket(instance: &Instance) -> PathBuf {
    instance.run_dir().join("plugins.sock")
}

/// Where messages lie while plug-ins look at them.
pub fn folder(instance: &Instance) -> PathBuf {
    instance.tmp_dir().join("plugins")
}

/// How long plug-ins may take for one line or one message.
pub fn timeout(config: &Config) -> Duration {
    config.get(&service_smtp_modules::PLUGINS_TIMEOUT)
}

impl Host {
    pub fn new(instance: &Instance, config: &Config) -> Host {
        Host::at(socket(instance), timeout(config))
    }

    pub fn at(socket: PathBuf, timeout: Duration) -> Host {
        Host { socket, timeout, idle: Mutex::default() }
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Shows a message to the plug-ins of its stage. Nothing when they leave it as it is.
    ///
    /// # Errors
    /// One line: the process is not there, is silent, or says what it may not; or a plug-in failed.
    pub fn show(&self, message: &Message<'_>) -> Result<Option<Rewritten>, String> {
        let mut fields = vec![
            message.stage.to_string().into_bytes(),
            message.file.as_os_str().as_encoded_bytes().to_vec(),
        ];
        fields.extend(message.control.iter().map(|(name, value)| format!("{name}={value}").into_bytes()));
        fields.push(Vec::new());
        fields.extend(message.recipients.iter().map(|one| one.as_bytes().to_vec()));
        let frame = Frame::new(b'M', fields);
        let answer = self
            .connection()
            .and_then(|mut connection| {
                connection.say(&frame)?;
                let answer = connection.hear()?;
                self.keep(connection);
                Ok(answer)
            })
            .map_err(|why| format!("pluginhost: {why}"))?;
        match (answer.kind, answer.field(0)) {
            (b'm', [NO_ACTION]) => Ok(None),
            (b'm', [CONTINUE]) => {
                let texts = |fields: &[Vec<u8>]| fields.iter().cloned().map(String::from_utf8).collect();
                let recipients: Result<Vec<String>, _> = texts(answer.fields.get(3..).unwrap_or_default());
                match (String::from_utf8(answer.field(2).to_vec()), recipients) {
                    (Ok(sender), Ok(recipients)) => Ok(Some(Rewritten { sender, recipients })),
                    _ => Err("pluginhost: an address that is not UTF-8".into()),
                }
            }
            (b'm', b"!") => Err(base::escape(&answer.text(1)).to_string()),
            _ => Err("pluginhost: an answer that is none".into()),
        }
    }

    /// One that is good, kept or new; its time begins now.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn connection(&self) -> io::Result<Connection> {
        let kept = loop {
            match lock(&self.idle).pop() {
                Some(stream) if !is_silent(&stream) => {} // the process has ended meanwhile
                other => break other,
            }
        };
        let stream = match kept {
            Some(stream) => stream,
            None => connect(&self.socket, self.timeout)?,
        };
        Ok(Connection { stream, timeout: self.timeout, until: Instant::now() + self.timeout })
    }

    pub(crate) fn keep(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_MAX {
            idle.push(connection.stream);
        }
    }
}

/// One conversation.
pub(crate) struct Connection {
    stream: UnixStream,
    timeout: Duration,
    /// When the plug-ins' time is over.
    until: Instant,
}

impl Connection {
    /// Their time begins again: it was the server's while they waited.
    pub fn renew(&mut self) {
        self.until = Instant::now() + self.timeout;
    }

    pub fn say(&mut self, frame: &Frame) -> io::Result<()> {
        frame.write(self)
    }

    pub fn hear(&mut self) -> io::Result<Frame> {
        Frame::read(self)
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// The limit counts for the whole, so that one who drips is found out as well as one who is silent.
impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn timed_out(why: io::Error) -> io::Error {
    if why.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { why }
}

fn connect(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(timeout))?; // counts for a full queue of those who connect, too (unix(7))
    socket.connect(&SockAddr::unix(path)?).map_err(timed_out)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

/// Nothing came, nor an end: the process says nothing that it was not asked.
fn is_silent(stream: &UnixStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let mut stream_read = stream;
    let silent = matches!(stream_read.read(&mut [0]), Err(why) if why.kind() == io::ErrorKind::WouldBlock);
    silent && stream.set_nonblocking(false).is_ok()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// For a host that answers, on a machine that may stand still for a while.
    const PATIENT: Duration = Duration::from_secs(120);

    /// What comes of a message that a host answers so, within this time.
    fn shown(
        timeout: Duration,
        answer: impl FnOnce(UnixStream) + Send + 'static,
    ) -> Result<Option<Rewritten>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            Frame::read(&mut stream).unwrap();
            answer(stream);
        });
        let host = Host::at(path, timeout);
        let message = Message {
            stage: crate::Stage::PostSmtpAccept,
            file: Path::new("/m"),
            control: vec![("User-From", "a@b".into())],
            recipients: vec!["c@d"],
        };
        let said = host.show(&message);
        served.join().unwrap();
        said
    }

    fn saying(kind: u8, fields: &[&[u8]]) -> Result<Option<Rewritten>, String> {
        let frame = Frame::new(kind, fields.iter().map(|field| field.to_vec()));
        shown(PATIENT, move |mut stream| frame.write(&mut stream).unwrap())
    }

    #[test]
    fn what_the_host_says_is_understood() {
        assert_eq!(saying(b'm', &[b"2"]), Ok(None));
        let changed = Rewritten { sender: "x@y".into(), recipients: vec!["r@s".into()] };
        assert_eq!(saying(b'm', &[b"4", b"", b"x@y", b"r@s"]), Ok(Some(changed)));
        assert_eq!(saying(b'm', &[b"!", b"why"]), Err("why".into()));
    }

    #[test]
    fn nonsense_silence_drips_and_an_end_are_errors_in_time() {
        assert!(saying(b'm', &[b"7"]).is_err());
        assert!(saying(b'x', &[]).is_err());
        assert!(saying(b'm', &[b"4", b"", b"\xff"]).is_err());
        assert!(shown(PATIENT, |mut stream| stream.write_all(&[0xff; 64]).unwrap()).is_err());
        assert!(shown(PATIENT, drop).is_err());
        // These end when the other side has gone, which it does for no reason but the time.
        let silent = |mut stream: UnixStream| {
            stream.set_read_timeout(Some(PATIENT)).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it waited longer");
        };
        let drips = |mut stream: UnixStream| {
            let _ = stream.write_all(&100_000_u32.to_le_bytes());
            let begun = Instant::now();
            while stream.write_all(b"x").is_ok() {
                assert!(begun.elapsed() < PATIENT, "it waited longer");
                thread::sleep(Duration::from_millis(100));
            }
        };
        let soon = Duration::from_secs(1);
        assert!(shown(soon, silent).is_err() && shown(soon, drips).is_err());
    }

    #[test]
    fn no_host_is_an_error() {
        let host = Host::at("/nonexistent/plugins.sock".into(), Duration::from_secs(1));
        assert!(host.connection().is_err());
    }
}
