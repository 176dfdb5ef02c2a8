//! What answers at each address; the table is in `router.rs`.

pub mod auth;
pub mod events;
pub mod jmap;
pub mod pages;

use std::io::{self, Read};

use http_wire::range::{self, Range};

use crate::response::Body;
use crate::{Request, Response};

/// The response with the part of its body that the request asks for (RFC 9110 §14), if that is a file or bytes. `tag` is the
/// content's: a range of another one is not given.
pub fn ranged(request: &Request, response: Response, tag: &str) -> Response {
    let response = response.with("Accept-Ranges", "bytes").with("ETag", format!("\"{tag}\""));
    let Some(wanted) = request.head.field("range") else { return response };
    if request.head.field("if-range").is_some_and(|known| known.trim_matches('"') != tag)
        || response.status != 200
    {
        return response;
    }
    let size = response.body.length();
    match range::parse(wanted, size) {
        Range::Whole => response,
        Range::Unsatisfiable => Response::plain_problem(416, "nothing of it is there")
            .with("Content-Range", format!("bytes */{size}")),
        Range::Part { first, last } => part(response, first, last, size),
    }
}

fn part(mut response: Response, first: u64, last: u64, size: u64) -> Response {
    let length = last - first + 1;
    response.body = match response.body {
        Body::File(file, from, _) => Body::File(file, from + first, length),
        Body::Static(bytes) => Body::Static(cut(bytes, first, last)),
        Body::Bytes(bytes) => Body::Bytes(cut(&bytes, first, last).to_vec()),
        Body::Reader(mut reader, _) => match io::copy(&mut (&mut reader).take(first), &mut io::sink()) {
            Ok(passed) if passed == first => Body::Reader(reader, length),
            _ => return Response::plain_problem(500, "it cannot be read"),
        },
        Body::Empty => return response,
    };
    response.status = 206;
    response.with("Content-Range", format!("bytes {first}-{last}/{size}"))
}

fn cut(bytes: &[u8], first: u64, last: u64) -> &[u8] {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[place(first)..place(last + 1)]
}
