//! The TLS context of a daemon: one per pair of certificate and key, replaced as a whole when they are read again.
//!
//! TLS 1.2 is the oldest that is spoken (RFC 8996). Sessions under way keep the context they began with.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use openssl::error::ErrorStack;
use openssl::ssl::{
    AlpnError, SslContext, SslFiletype, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVersion,
};

/// Why a certificate cannot be used.
#[derive(Debug)]
pub struct TlsError {
    file: PathBuf,
    reason: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.reason)
    }
}

impl std::error::Error for TlsError {}

/// The context that new TLS connections get.
pub struct Tls {
    files: Option<(PathBuf, PathBuf)>,
    /// The protocol that clients may ask for by its name (ALPN, RFC 7301); who asks for others only is refused.
    protocol: Option<&'static str>,
    context: RwLock<Option<SslContext>>,
}

impl Tls {
    /// Reads certificate chain and key. `None`: TLS is not offered.
    ///
    /// # Errors
    /// A file cannot be read, or the key does not belong to the certificate.
    pub fn open(files: Option<(PathBuf, PathBuf)>) -> Result<Tls, TlsError> {
        Tls::open_for(files, None)
    }

    /// As [`Tls::open`], for a protocol with a name in ALPN.
    ///
    /// # Errors
    /// As [`Tls::open`].
    pub fn open_for(
        files: Option<(PathBuf, PathBuf)>,
        protocol: Option<&'static str>,
    ) -> Result<Tls, TlsError> {
        let tls = Tls { files, protocol, context: RwLock::new(None) };
        tls.reload()?;
        Ok(tls)
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// As [`Tls::open`]; what was used before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Some((certificate, key)) = &self.files else { return Ok(()) };
        let context = build(certificate, key, self.protocol)?;
        *self.context.write().unwrap_or_else(PoisonError::into_inner) = Some(context);
        Ok(())
    }

    /// The present context.
    pub fn context(&self) -> Option<SslContext> {
        self.context.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn build(certificate: &Path, key: &Path, protocol: Option<&'static str>) -> Result<SslContext, TlsError> {
    let at = |file: &Path| {
        let file = file.to_owned();
        move |error: ErrorStack| TlsError { file, reason: reason(&error) }
    };
    for file in [certificate, key] {
        let mut opened = File::open(file).map_err(|why| unreadable(file, &why))?;
        opened.read(&mut [0]).map_err(|why| unreadable(file, &why))?; // a folder can be opened
    }
    let mut builder = SslContext::builder(SslMethod::tls_server()).map_err(at(certificate))?;
    builder.set_certificate_chain_file(certificate).map_err(at(certificate))?;
    builder.set_private_key_file(key, SslFiletype::PEM).map_err(at(key))?;
    builder.check_private_key().map_err(at(key))?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(at(certificate))?;
    // The write buffer may move and shrink between retries, and an idle connection holds no record buffer.
    builder.set_mode(
        SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::AUTO_RETRY
            | SslMode::RELEASE_BUFFERS,
    );
    builder.set_options(
        SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | SslOptions::CIPHER_SERVER_PREFERENCE
            | SslOptions::IGNORE_UNEXPECTED_EOF,
    );
    builder.set_session_cache_mode(SslSessionCacheMode::OFF); // tickets need none
    builder.set_session_id_context(b"mailboat").map_err(at(certificate))?;
    builder.set_read_ahead(true); // one system call a record instead of two
    builder.set_num_tickets(1).map_err(at(certificate))?;
    if let Some(protocol) = protocol {
        builder.set_alpn_select_callback(move |_, offered| {
            chosen(offered, protocol).ok_or(AlpnError::ALERT_FATAL)
        });
    }
    Ok(builder.build())
}

/// The protocol in a client's list: names, each behind its length (RFC 7301 §3.1).
fn chosen<'a>(offered: &'a [u8], protocol: &str) -> Option<&'a [u8]> {
    let mut rest = offered;
    while let Some((&length, behind)) = rest.split_first() {
        let name = behind.get(..usize::from(length))?;
        if name == protocol.as_bytes() {
            return Some(name);
        }
        rest = &behind[name.len()..];
    }
    None
}

/// The library would say "system lib" and not why.
fn unreadable(file: &Path, why: &io::Error) -> TlsError {
    TlsError { file: file.to_owned(), reason: why.to_string() }
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
    use super::*;

    #[test]
    fn a_missing_certificate_is_named() {
        let error = Tls::open(Some(("/nowhere/a.pem".into(), "/nowhere/b.pem".into()))).err().unwrap();
        assert_eq!(error.to_string(), "/nowhere/a.pem: No such file or directory (os error 2)");
        let folder = tempfile::tempdir().unwrap();
        let (crt, key) = (folder.path().join("server.crt"), folder.path().join("server.key"));
        std::fs::write(&key, "").unwrap();
        std::fs::create_dir(&crt).unwrap();
        let open = || Tls::open(Some((crt.clone(), key.clone()))).err().unwrap().to_string();
        assert!(open().contains("server.crt: Is a directory"), "{}", open());
        std::fs::remove_dir(&crt).unwrap();
        std::fs::write(&crt, "nonsense").unwrap();
        assert!(open().contains("server.crt: there is no PEM text"), "{}", open());
    }

    #[test]
    fn a_protocol_is_found_in_the_clients_list() {
        assert_eq!(chosen(b"\x02h2\x08http/1.1", "http/1.1"), Some(&b"http/1.1"[..]));
        for other in [&b"\x02h2"[..], b"", b"\x09http/1.1", b"\x08http/1.0", b"\xff"] {
            assert_eq!(chosen(other, "http/1.1"), None);
        }
    }

    #[test]
    fn without_files_there_is_no_context() {
        assert!(Tls::open(None).unwrap().context().is_none());
    }
}
