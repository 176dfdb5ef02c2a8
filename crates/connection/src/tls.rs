//! The TLS contexts of a daemon: one for each group of certificates, replaced as a whole when they are read again.
//!
//! TLS 1.2 is the oldest that is spoken (RFC 8996). Sessions under way keep the context they began with. A context has keys
//! of its own for session tickets, which never leave the process; it is made anew twice a day, so that what was recorded
//! can be read by nobody later, whatever becomes of the process then.

mod context;
mod files;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use openssl::error::ErrorStack;
use openssl::ssl::SslContext;

pub use files::Certificates;

/// How long the keys of session tickets live.
const TICKETS_FOR: Duration = Duration::from_secs(12 * 60 * 60);
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why a certificate cannot be used.
#[derive(Debug)]
pub struct TlsError {
    file: PathBuf,
    reason: String,
}

impl TlsError {
    fn of(file: &Path, reason: String) -> TlsError {
        TlsError { file: file.to_owned(), reason }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.reason)
    }
}

impl std::error::Error for TlsError {}

type State = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// Of what the present context was made.
struct Made {
    at: Instant,
    looked: Instant,
    state: State,
}

/// The context that new TLS connections get.
pub struct Tls {
    files: Option<Certificates>,
    /// The protocol that clients may ask for by its name (ALPN, RFC 7301); who asks for others only is refused.
    protocol: Option<&'static str>,
    context: RwLock<Option<SslContext>>,
    made: Mutex<Made>,
}

impl Tls {
    /// Reads certificates and keys. `None`: TLS is not offered.
    ///
    /// # Errors
    /// A file cannot be read, the key does not belong to the certificate, or everybody may read it.
    pub fn open(files: Option<Certificates>) -> Result<Tls, TlsError> {
        Tls::open_for(files, None)
    }

    /// As [`Tls::open`], for a protocol with a name in ALPN.
    ///
    /// # Errors
    /// As [`Tls::open`].
    pub fn open_for(files: Option<Certificates>, protocol: Option<&'static str>) -> Result<Tls, TlsError> {
        let now = Instant::now();
        let made = Mutex::new(Made { at: now, looked: now, state: Vec::new() });
        let tls = Tls { files, protocol, context: RwLock::new(None), made };
        tls.reload()?;
        Ok(tls)
    }

    /// Reads the files again. Those that were changed while they were read (a key of one pair, a chain of the next) are read once
    /// more.
    ///
    /// # Errors
    /// As [`Tls::open`]; what was used before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Some(files) = &self.files else { return Ok(()) };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match self.build(files, &mut made) {
            Err(_) if files.state() != made.state => self.build(files, &mut made),
            built => built,
        }
    }

    /// Reads the files again when one of them has changed, or when the keys of session tickets are old; else it costs
    /// nothing, or now and then a look at the files. Whether something was read.
    ///
    /// # Errors
    /// As [`Tls::reload`]; it is told once for each change.
    pub fn look(&self, now: Instant) -> Result<bool, TlsError> {
        let Some(files) = &self.files else { return Ok(false) };
        let Ok(mut made) = self.made.try_lock() else { return Ok(false) };
        if now.saturating_duration_since(made.looked) < LOOK_EVERY {
            return Ok(false);
        }
        made.looked = now;
        let changed = files.state() != made.state;
        if changed || now.saturating_duration_since(made.at) >= TICKETS_FOR {
            self.build(files, &mut made)?;
        }
        Ok(changed)
    }

    fn build(&self, files: &Certificates, made: &mut Made) -> Result<(), TlsError> {
        let now = Instant::now();
        // Before they are read: what changes meanwhile is seen at the next look.
        *made = Made { at: now, looked: now, state: files.state() };
        let context = context::build(files, self.protocol)?;
        *self.context.write().unwrap_or_else(PoisonError::into_inner) = Some(context);
        Ok(())
    }

    /// The present context.
    pub fn context(&self) -> Option<SslContext> {
        self.context.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn reason(error: &ErrorStack) -> String {
    let texts: Vec<String> = error.errors().iter().filter_map(|e| e.reason().map(str::to_owned)).collect();
    if texts.iter().any(|text| text == "no start line" || text == "unsupported") {
        return "there is no PEM text of the right kind in it (-----BEGIN ...)".to_owned();
    }
    if texts.iter().any(|text| {
        text == "key values mismatch" || text == "key type mismatch" || text == "no certificate assigned"
    }) {
        return "the key does not belong to the certificate".to_owned();
    }
    if texts.is_empty() { "cannot be used".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    use openssl::ssl::Ssl;

    use super::*;

    fn pair(chain: &str, key: &str) -> Certificates {
        (PathBuf::from(chain), PathBuf::from(key)).into()
    }

    #[test]
    fn a_missing_certificate_is_named() {
        let error = Tls::open(Some(pair("/nowhere/a.pem", "/nowhere/b.pem"))).err().unwrap();
        assert_eq!(error.to_string(), "/nowhere/a.pem: No such file or directory (os error 2)");
        let folder = tempfile::tempdir().unwrap();
        let (crt, key) = (folder.path().join("server.crt"), folder.path().join("server.key"));
        std::fs::write(&key, "").unwrap();
        std::fs::create_dir(&crt).unwrap();
        let open = || Tls::open(Some((crt.clone(), key.clone()).into())).err().unwrap().to_string();
        assert!(open().contains("server.crt: Is a directory"), "{}", open());
        std::fs::remove_dir(&crt).unwrap();
        std::fs::write(&crt, "nonsense").unwrap();
        assert!(open().contains("server.crt: there is no PEM text"), "{}", open());
    }

    #[test]
    fn a_protocol_is_found_in_the_clients_list() {
        assert_eq!(context::chosen(b"\x02h2\x08http/1.1", "http/1.1"), Some(&b"http/1.1"[..]));
        for other in [&b"\x02h2"[..], b"", b"\x09http/1.1", b"\x08http/1.0", b"\xff"] {
            assert_eq!(context::chosen(other, "http/1.1"), None);
        }
    }

    /// One connection by OpenSSL's client, which shows the session in `shown` if there is one, and keeps the one it gets; whether
    /// it was resumed.
    fn resumes(tls: &Tls, version: &str, shown: Option<&Path>, kept: &Path) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", version, "-connect"]);
        client.arg(listener.local_addr().unwrap().to_string());
        assert!(shown.is_none_or(Path::exists), "or the client would not come");
        client.args(shown.map(|file| ["-sess_in".as_ref(), file.as_os_str()]).into_iter().flatten());
        client.args(["-sess_out".as_ref(), kept.as_os_str()]);
        client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut client = client.spawn().unwrap();
        let socket = listener.accept().unwrap().0;
        let mut stream = Ssl::new(&tls.context().unwrap()).unwrap().accept(socket).unwrap();
        stream.write_all(b"x\n").unwrap();
        let _ = stream.shutdown();
        let reused = stream.ssl().session_reused();
        drop(stream);
        client.wait().unwrap();
        reused
    }

    #[test]
    fn a_session_is_resumed_while_its_keys_live_and_by_their_process_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let mut request = Command::new("openssl");
        request.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        request.args(["-days", "9", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.crt"]);
        assert!(request.current_dir(folder.path()).stderr(Stdio::null()).status().unwrap().success());
        let open = || Tls::open(Some((file("server.crt"), file("server.key")).into())).unwrap();
        for version in ["-tls1_2", "-tls1_3"] {
            let (tls, other) = (open(), open());
            let name = |part: &str| file(&format!("{part}{version}"));
            // Of a session that is resumed TLS 1.2 has no new ticket: `lost` is of no use.
            let (first, next, lost) = (name("first"), name("next"), name("lost"));
            assert!(!resumes(&tls, version, None, &first), "{version}: there is nothing to resume");
            assert!(resumes(&tls, version, Some(&first), &lost), "{version}");
            assert!(
                !resumes(&other, version, Some(&first), &lost),
                "{version}: another process has other keys"
            );
            let made = tls.made.lock().unwrap().at;
            let just = TICKETS_FOR.checked_sub(Duration::from_secs(10)).unwrap();
            assert!(!tls.look(made + just).unwrap());
            assert!(resumes(&tls, version, Some(&first), &lost), "{version}: the keys live still");
            assert!(!tls.look(made + TICKETS_FOR).unwrap(), "no file has changed");
            assert!(!resumes(&tls, version, Some(&first), &next), "{version}: the keys are others");
            assert!(resumes(&tls, version, Some(&next), &lost), "{version}: with the new ones");
            tls.reload().unwrap();
            assert!(
                !resumes(&tls, version, Some(&next), &lost),
                "{version}: the certificates were read again"
            );
        }
    }

    #[test]
    fn without_files_there_is_no_context() {
        assert!(Tls::open(None).unwrap().context().is_none());
    }
}
