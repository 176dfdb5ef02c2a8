//! JMAP over HTTP (RFC 8620 §2, §3, §6): session object, API, uploads and downloads. What they mean is the crate `jmap`'s.

use std::io::{self, Read, Write};

use http_wire::{disposition, negotiate};
use jmap::{BlobContent, Problem, Who, limits};
use serde_json::Value;
use server_log::Category;

use crate::archive::Archive;
use crate::response::Body;
use crate::router::Sink;
use crate::routes::ranged;
use crate::session::Desk;
use crate::{Request, Response, Visitor, attachment, sign_in};

/// Bytes from which a response is compressed.
const COMPRESS_FROM: usize = 1400;
/// How hard: fast, since each is made for one client.
const LEVEL: u8 = 3;
/// Addresses in the session object.
const ADDRESSES: [&str; 4] = ["apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl"];

/// Whom JMAP is asked by.
pub fn who(visitor: &Visitor, request: &Request) -> Who {
    Who {
        uid: visitor.uid.clone(),
        entry: visitor.entry.clone(),
        peer: request.client.ip,
        session: visitor.label(),
    }
}

fn asker(request: &Request) -> Result<Who, Response> {
    let visitor = request.visitor.as_deref().ok_or_else(sign_in::wanted)?;
    Ok(who(visitor, request))
}

/// A problem of JMAP as a response.
pub fn problem(problem: &Problem) -> Response {
    let body = Body::Bytes(problem.to_json().to_string().into_bytes());
    Response::of(problem.status, "application/problem+json", body)
}

/// `GET /.well-known/jmap` (RFC 8620 §2.2)
pub fn well_known(_desk: &Desk, _request: &Request) -> Response {
    Response::redirect(307, "/jmap/session")
}

/// `GET /jmap/session`. Programs get whole addresses: not all of them put relative ones together.
pub fn session(desk: &Desk, request: &Request) -> Response {
    let Ok(who) = asker(request) else { return sign_in::wanted() };
    let mut session = desk.jmap.session(&who);
    let by_cookie = request.visitor.as_ref().is_some_and(|visitor| visitor.session.is_some());
    if !by_cookie && !request.head.host.is_empty() {
        let scheme = if request.client.is_secure { "https" } else { "http" };
        let before = format!("{scheme}://{}", request.head.host);
        for name in ADDRESSES {
            if let Some(Value::String(address)) = session.get_mut(name) {
                address.insert_str(0, &before);
            }
        }
    }
    compressed(request, "application/json", session.to_string().into_bytes())
}

/// `POST /jmap/api`
pub fn api(desk: &Desk, request: &Request) -> Response {
    let Ok(who) = asker(request) else { return sign_in::wanted() };
    if desk.load.is_behind(&who.uid) {
        return unread(); // before anything is done, not behind it
    }
    let turn = match desk.jmap.begin(&who) {
        Ok(turn) => turn,
        Err(refusal) => return problem(&refusal),
    };
    let answer = desk.jmap.request_in(&turn, &who, &request.body);
    if desk.jmap.password_was_changed(&who) {
        password_changed(desk, request);
    }
    match answer {
        Ok(body) => compressed(request, "application/json", body).in_turn(turn),
        Err(refusal) => problem(&refusal),
    }
}

/// Answers that the client was given and does not read are all that there is room for.
pub fn unread() -> Response {
    Response::plain_problem(503, "read the answers that you have first").with("Retry-After", "5")
}

/// The other sessions of the user end, this one goes on.
fn password_changed(desk: &Desk, request: &Request) {
    let Some(visitor) = request.visitor.as_deref() else { return };
    if let Err(why) = visitor.password_changed(desk) {
        desk.log.warning(Category::Account, format_args!("the sessions of {}: {why}", visitor.uid));
    }
}

/// A response in the coding that the client takes. Nothing that is secret beside what the client asked for is in it.
fn compressed(request: &Request, media_type: &str, body: Vec<u8>) -> Response {
    let vary = ("Vary", "Accept-Encoding");
    if body.len() < COMPRESS_FROM || !negotiate::takes_coding(&request.head, "gzip") {
        return Response::of(200, media_type, Body::Bytes(body)).with(vary.0, vary.1);
    }
    let packed = gzip(&body);
    Response::of(200, media_type, Body::Bytes(packed)).with(vary.0, vary.1).with("Content-Encoding", "gzip")
}

/// RFC 1952 §2.3.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    packed.extend(miniz_oxide::deflate::compress_to_vec(bytes, LEVEL));
    packed.extend(base::crc32(bytes).to_le_bytes());
    packed.extend((bytes.len() as u32).to_le_bytes()); // modulo 2^32, as the format has it
    packed
}

/// An upload on its way into `local.tmpdir`.
struct Uploading(jmap::Upload);

/// `POST /jmap/upload/{accountId}`
///
/// # Errors
/// The response: not the user's account, or limits.
pub fn upload(desk: &Desk, request: &Request) -> Result<Box<dyn Sink>, Response> {
    let who = asker(request)?;
    if let http_wire::Framing::Length(length) = request.head.framing {
        if length > limits::MAX_SIZE_UPLOAD {
            return Err(too_large());
        }
    }
    let media_type = Some(request.head.media_type()).filter(|name| is_media_type(name));
    let media_type = media_type.unwrap_or_else(|| "application/octet-stream".to_owned());
    let upload = desk.jmap.upload(&who, request.parameter(0), &media_type);
    Ok(Box::new(Uploading(upload.map_err(|refusal| problem(&refusal))?)))
}

impl Sink for Uploading {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Response> {
        self.0.write_all(bytes).map_err(|why| match why.kind() {
            io::ErrorKind::FileTooLarge => too_large(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Response::plain_problem(507, "there is no room for it now")
            }
            _ => Response::plain_problem(500, "it cannot be kept"),
        })
    }

    fn finish(self: Box<Self>) -> Response {
        match self.0.finish() {
            Ok(value) => Response::json(201, &value),
            Err(refusal) => problem(&refusal),
        }
    }
}

/// RFC 8620 §3.6.1 has this form; §6.1 leaves the status open.
fn too_large() -> Response {
    let value = serde_json::json!({
        "type": "urn:ietf:params:jmap:error:limit", "limit": "maxSizeUpload", "status": 413,
        "detail": "The upload is too large, or there is no room for it",
    });
    Response::of(413, "application/problem+json", Body::Bytes(value.to_string().into_bytes()))
}

/// `GET /jmap/download/{accountId}/{blobId}/{name}?type=`: always to be saved, never shown as a page of ours.
pub fn download(desk: &Desk, request: &Request) -> Response {
    let Ok(who) = asker(request) else { return sign_in::wanted() };
    let blob = match desk.jmap.download(&who, request.parameter(0), request.parameter(1)) {
        Ok(blob) => blob,
        Err(refusal) => return problem(&refusal),
    };
    let Ok((begin, blob)) = attachment::peek(blob) else {
        return Response::plain_problem(500, "it cannot be read");
    };
    let media_type = attachment::media_type(&request.query("type").unwrap_or_default(), &begin);
    let body = match blob.content {
        BlobContent::File { file, offset } => Body::File(file, offset, blob.size),
        BlobContent::Decoded(reader) => {
            let desk_log = desk.log.clone();
            Body::Reader(Box::new(Told { reader, log: desk_log }), blob.size)
        }
    };
    let response = Response::of(200, media_type, body)
        .with("Content-Disposition", disposition::attachment(request.parameter(2)));
    ranged(request, response, request.parameter(1))
}

/// `GET /jmap/archive/{accountId}/{blobId}/{name}`: every file of the message of this blob, in one archive to be saved.
pub fn archive(desk: &Desk, request: &Request) -> Response {
    let Ok(who) = asker(request) else { return sign_in::wanted() };
    // The checksums are made before the first byte is sent: as much work as a request may be.
    let _turn = match desk.jmap.begin(&who) {
        Ok(turn) => turn,
        Err(refusal) => return problem(&refusal),
    };
    let attachments = match desk.jmap.attachments(&who, request.parameter(0), request.parameter(1)) {
        Ok(attachments) => attachments,
        Err(refusal) => return problem(&refusal),
    };
    let date = attachments.date;
    let named = |(at, file): (usize, jmap::Attachment)| (archive_name(&file, at + 1), file);
    let files: Vec<(String, jmap::Attachment)> =
        attachments.files.into_iter().enumerate().map(named).collect();
    if files.is_empty() {
        return Response::plain_problem(404, "nothing is attached");
    }
    let archive = match Archive::new(&files, date) {
        Ok(Some(archive)) => archive,
        Ok(None) => {
            return Response::plain_problem(413, "the files are too many or too large for an archive");
        }
        Err(_) => return Response::plain_problem(500, "it cannot be read"),
    };
    let size = archive.size();
    let reader = Box::new(Told { reader: Box::new(archive), log: desk.log.clone() });
    Response::of(200, "application/zip", Body::Reader(reader, size))
        .with("Content-Disposition", disposition::attachment(request.parameter(2)))
}

/// What a file is called that has no name.
fn archive_name(file: &jmap::Attachment, number: usize) -> String {
    let extension = if file.media_type == "message/rfc822" { ".eml" } else { "" };
    let named = file.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    named.map_or_else(|| format!("attachment {number}{extension}"), str::to_owned)
}

/// Says in the log what went wrong: the client only sees that the connection ended.
struct Told {
    reader: Box<dyn Read + Send>,
    log: server_log::Log,
}

impl Read for Told {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(bytes);
        if let Err(why) = &read {
            self.log.error(Category::Store, format_args!("a blob cannot be read: {why}"));
        }
        read
    }
}

/// `type/subtype` (RFC 6838 §4.2) without parameters.
fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !name.is_empty() && name.len() <= 127 && name.bytes().all(plain)
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_names() {
        for good in ["text/plain", "image/png", "application/vnd.ms-excel.x+y"] {
            assert!(is_media_type(good), "{good}");
        }
        for bad in ["", "text", "/", "text/", "text/plain; charset=x", "a/b/c", "text/pl\r\nain", "text/<b>"]
        {
            assert!(!is_media_type(bad), "{bad:?}");
        }
    }

    #[test]
    fn gzip_is_read_again() {
        let text = b"row ".repeat(1000);
        let packed = gzip(&text);
        assert!(packed.len() < text.len() / 10);
        let body = &packed[10..packed.len() - 8];
        assert_eq!(miniz_oxide::inflate::decompress_to_vec(body).unwrap(), text);
    }
}
