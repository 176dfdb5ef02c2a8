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
