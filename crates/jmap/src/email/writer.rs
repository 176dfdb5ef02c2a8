//! The message that an Email object becomes, written part by part (RFC 2045 to 2049, RFC 2183, RFC 2231).
//!
//! What is written is what was given: texts in the shortest encoding that every server passes on, all else in base64, exactly.

use std::io::{self, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_format::{LineEnds, encode_text};

use super::header_writer::{Line, quoted};
use crate::blob::Blob;

/// Bytes that become one line of base64 (RFC 2045 §6.8).
const BASE64_LINE: usize = 57;
/// Lines that are encoded at once.
const LINES_AT_ONCE: usize = 1024;
/// Characters of a parameter's piece.
const PARAMETER_PIECE: usize = 60;

/// A body part that is to be written.
pub struct Part {
    /// Fields of the client's, Content-Transfer-Encoding never among them.
    pub lines: Vec<Line>,
    /// `text/plain`, in lower case.
    pub media_type: String,
    /// Further parameters of Content-Type; boundary and charset are the writer's.
    pub parameters: Vec<(String, String)>,
    pub disposition: Option<String>,
    pub name: Option<String>,
    pub body: Body,
}

pub enum Body {
    Text(String),
    Blob {
        blob: Blob,
        /// Of a text.
        charset: Option<String>,
    },
    Parts(Vec<Part>),
}

/// Writes a message: its own fields, then the body.
///
/// # Errors
/// The writer's, a blob's; a message inside that cannot stand in one (`InvalidData`).
pub fn write(header: &[Line], root: Part, out: &mut dyn Write) -> io::Result<()> {
    for line in header {
        out.write_all(line.write().as_bytes())?;
    }
    out.write_all(b"MIME-Version: 1.0\r\n")?;
    root.write(out, true)
}

impl Part {
    fn write(self, out: &mut dyn Write, is_last_of_message: bool) -> io::Result<()> {
        for line in &self.lines {
            out.write_all(line.write().as_bytes())?;
        }
        let mut parameters = self.parameters;
        let name = self.name.as_deref();
        match (&self.disposition, name) {
            (Some(disposition), name) => {
                let filename: Vec<(String, String)> =
                    name.map(|name| ("filename".to_owned(), name.to_owned())).into_iter().collect();
                out.write_all(structured("Content-Disposition", disposition, &filename).as_bytes())?;
            }
            (None, Some(name)) => parameters.push(("name".into(), name.to_owned())),
            (None, None) => {}
        }
        match self.body {
            Body::Parts(parts) => multipart(&self.media_type, parameters, parts, out),
            Body::Text(text) => text_part(&self.media_type, parameters, &text, is_last_of_message, out),
            Body::Blob { blob, charset } => {
                parameters.extend(charset.map(|charset| ("charset".to_owned(), charset)));
                match self.media_type.starts_with("message/") {
                    true => message_part(&self.media_type, &parameters, blob, out),
                    false => blob_part(&self.media_type, &parameters, blob, out),
                }
            }
        }
    }
}

fn multipart(
    media_type: &str,
    mut parameters: Vec<(String, String)>,
    parts: Vec<Part>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let boundary = boundary()?;
    parameters.push(("boundary".into(), boundary.clone()));
    out.write_all(structured("Content-Type", media_type, &parameters).as_bytes())?;
    out.write_all(b"\r\n")?;
    for part in parts {
        out.write_all(format!("--{boundary}\r\n").as_bytes())?;
        part.write(out, false)?;
        out.write_all(b"\r\n")?;
    }
    out.write_all(format!("--{boundary}--\r\n").as_bytes())
}

/// In no encoded text there is `=_`, in others it is not to be guessed.
fn boundary() -> io::Result<String> {
    let mut random = [0; 15];
    openssl::rand::rand_bytes(&mut random).map_err(io::Error::other)?;
    Ok(format!("=_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)))
}

fn text_part(
    media_type: &str,
    mut parameters: Vec<(String, String)>,
    text: &str,
    is_last_of_message: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let encoded = encode_text(text);
    parameters.push(("charset".into(), encoded.charset.into()));
    out.write_all(structured("Content-Type", media_type, &parameters).as_bytes())?;
    out.write_all(format!("Content-Transfer-Encoding: {}\r\n\r\n", encoded.transfer_encoding).as_bytes())?;
    if encoded.transfer_encoding == "base64" {
        let text = text.replace("\r\n", "\n").replace(['\r', '\0'], " ").replace('\n', "\r\n");
        return base64_lines(text.as_bytes(), out);
    }
    // The encoder ends with a line end, whether the text does or not.
    let is_open = !text.ends_with('\n') && !is_last_of_message;
    let body = encoded.body.as_str();
    out.write_all(if is_open { body.strip_suffix("\r\n").unwrap_or(body) } else { body }.as_bytes())
}

fn blob_part(
    media_type: &str,
    parameters: &[(String, String)],
    blob: Blob,
    out: &mut dyn Write,
) -> io::Result<()> {
    out.write_all(structured("Content-Type", media_type, parameters).as_bytes())?;
    out.write_all(b"Content-Transfer-Encoding: base64\r\n\r\n")?;
    base64_lines(blob.content.reader(blob.size), out)
}

fn base64_lines(mut bytes: impl Read, out: &mut dyn Write) -> io::Result<()> {
    let mut piece = vec![0; BASE64_LINE * LINES_AT_ONCE];
    let mut is_first = true;
    loop {
        let mut filled = 0;
        while filled < piece.len() {
            match bytes.read(&mut piece[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        let mut text = String::with_capacity(filled * 2);
        for line in piece[..filled].chunks(BASE64_LINE) {
            if !std::mem::take(&mut is_first) {
                text.push_str("\r\n");
            }
            STANDARD.encode_string(line, &mut text);
        }
        out.write_all(text.as_bytes())?;
        if filled < piece.len() {
            return out.write_all(b"\r\n");
        }
    }
}

/// A message inside has no encoding (RFC 2046 §5.2.1).
fn message_part(
    media_type: &str,
    parameters: &[(String, String)],
    blob: Blob,
    out: &mut dyn Write,
) -> io::Result<()> {
    let size = blob.size;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    blob.content.reader(size).read_to_end(&mut bytes)?;
    if bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let encoding = if bytes.is_ascii() { "7bit" } else { "8bit" };
    out.write_all(structured("Content-Type", media_type, parameters).as_bytes())?;
    out.write_all(format!("Content-Transfer-Encoding: {encoding}\r\n\r\n").as_bytes())?;
    out.write_all(&LineEnds::default().mend(&bytes))
}

/// A field with parameters, each on a line of its own behind the first.
fn structured(name: &str, value: &str, parameters: &[(String, String)]) -> String {
    let mut line = format!("{name}: {value}");
    for (name, value) in parameters {
        for piece in parameter(name, value) {
            line.push_str(";\r\n ");
            line.push_str(&piece);
        }
    }
    line.push_str("\r\n");
    line
}

/// `name=value`; long ones and such as are not ASCII in numbered pieces, encoded (RFC 2231 §3, §4).
fn parameter(name: &str, value: &str) -> Vec<String> {
    let is_token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c);
    let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if value.is_ascii() && value.len() <= PARAMETER_PIECE && !value.contains("=?") {
        let is_plain = !value.is_empty() && value.chars().all(is_token);
        return vec![format!("{name}={}", if is_plain { value } else { quoted(&value) })];
    }
    let mut pieces: Vec<String> = vec!["utf-8''".to_owned()];
    for byte in value.bytes() {
        let encoded = match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        match pieces.last_mut() {
            Some(last) if last.len() + encoded.len() <= PARAMETER_PIECE => last.push_str(&encoded),
            _ => pieces.push(encoded),
        }
    }
    if pieces.len() == 1 {
        return vec![format!("{name}*={}", pieces[0])];
    }
    pieces.iter().enumerate().map(|(number, piece)| format!("{name}*{number}*={piece}")).collect()
}
