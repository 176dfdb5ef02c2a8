//! The page, its files, and what robots ask for.

use crate::response::{Body, Cache};
use crate::session::Desk;
use crate::{Request, Response, assets};

/// `GET /`
pub fn page(_desk: &Desk, request: &Request) -> Response {
    assets::page(&request.head)
}

/// `GET /assets/{name}`
pub fn asset(_desk: &Desk, request: &Request) -> Response {
    assets::file(request.parameter(0), &request.head)
}

/// `GET /robots.txt` (RFC 9309): nothing here is for them.
pub fn robots(_desk: &Desk, _request: &Request) -> Response {
    let text = b"User-agent: *\nDisallow: /\n";
    Response::of(200, "text/plain; charset=utf-8", Body::Static(text)).cache(Cache::Private(86_400))
}

/// `GET /.well-known/acme-challenge/{token}` (RFC 8555 §8.3): what proves to an authority that a name is ours.
pub fn acme_challenge(desk: &Desk, request: &Request) -> Response {
    match desk.challenges.answer(request.parameter(0)) {
        Some(text) => Response::of(200, "application/octet-stream", Body::Bytes(text.into_bytes())),
        None => Response::plain_problem(404, "there is no such challenge"),
    }
}
