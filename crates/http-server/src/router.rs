//! The table of all addresses. To add one: a line in [`ROUTES`], and a function in a module of its own.
//!
//! A line says which methods and path it has, who may ask, what body it takes and what answers it:
//!
//! * **Path**: `/message/{account}/{email}`; what stands in the place of `{...}` is [`Request::parameter`] 0, 1, ...,
//!   decoded, never empty, one segment. The first line that fits counts.
//! * **Access**: [`Access::Open`] anybody; [`Access::Visitor`] who has signed in, by cookie or with a password in the request
//!   itself ([`Request::visitor`] is there then); [`Access::Either`] both, each told who they are. Pages of other sites are turned away before the function is asked, and
//!   so is a request by cookie that changes something (any method but GET, HEAD) without its token (`X-Mailboat-Token`,
//!   or the form field of [`TOKEN_FIELD`] where the body is a form).
//! * **Takes**: nothing, a body of some type (in memory, `service.http.maxpostsize` at most), or an upload of any size.
//! * **Run**: [`Run::Here`] for what asks disk or directory; [`Run::Aside`] for what waits for other hosts (image proxy): it
//!   is done by threads of its own and holds no worker; [`Run::Upload`] gives a [`Sink`] for the body; [`Run::Events`] is push.
//!
//! HEAD is answered like GET without the body where GET is. Bodies of responses that are files or readers are sent in
//! constant memory, with ranges if the function uses [`crate::routes::ranged`]. Fields that every response carries (content
//! security policy and so on) are added by `response.rs`: a page that goes into our own frame gives `Policy::Frame`.

use http_wire::{Head, Method};

use crate::session::Desk;
use crate::{Request, Response, frame, image_proxy, msc, proxy_sign_in, routes};

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Open,
    Visitor,
    /// Who has signed in, and who has not is told so by the answer, not by a refusal.
    Either,
}

/// What body a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A small one is passed over.
    Nothing,
    /// application/json, in memory.
    Json,
    /// The same, as large as JMAP says.
    Jmap,
    /// A form, application/x-www-form-urlencoded or multipart/form-data, in memory.
    Form,
    /// A form, or nothing: what scripts send to the addresses of the original (`msc`). Who asks is told by the address alone,
    /// which no page of others knows, so there is no token.
    Script,
    /// Anything, for [`Run::Upload`].
    Upload,
}

/// The field of a form that carries the token.
pub const TOKEN_FIELD: &str = "token";

/// Takes the body of an upload piece by piece.
pub trait Sink: Send {
    /// # Errors
    /// The response: it is too long, or the disk is full.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Response>;
    /// The body is whole.
    fn finish(self: Box<Self>) -> Response;
}

/// A function that answers.
pub type Answer = fn(&Desk, &Request) -> Response;

/// A function that takes an upload.
pub type Begin = fn(&Desk, &Request) -> Result<Box<dyn Sink>, Response>;

/// What answers.
#[derive(Clone, Copy)]
pub enum Run {
    Here(Answer),
    Aside(Answer),
    /// The body is name and password.
    SignIn,
    Upload(Begin),
    Events,
}

/// One address.
pub struct Route {
    pub methods: &'static [Method],
    pub path: &'static str,
    pub access: Access,
    pub takes: Takes,
    pub run: Run,
}

const GET: &[Method] = &[Method::Get, Method::Head];
const POST: &[Method] = &[Method::Post];

const fn open(path: &'static str, answer: Answer) -> Route {
    Route { methods: GET, path, access: Access::Open, takes: Takes::Nothing, run: Run::Here(answer) }
}

const fn get(path: &'static str, answer: Answer) -> Route {
    Route { access: Access::Visitor, ..open(path, answer) }
}

const fn post(path: &'static str, takes: Takes, answer: Answer) -> Route {
    Route { methods: POST, path, access: Access::Visitor, takes, run: Run::Here(answer) }
}

const fn script(path: &'static str, answer: Answer) -> Route {
    let methods = &[Method::Get, Method::Head, Method::Post];
    Route { methods, path, access: Access::Visitor, takes: Takes::Script, run: Run::Here(answer) }
}

/// See the head of this file.
pub static ROUTES: &[Route] = &[
    open("/", routes::pages::page),
    open("/assets/{name}", routes::pages::asset),
    open("/robots.txt", routes::pages::robots),
    Route {
        methods: POST,
        path: "/auth/sign-in",
        access: Access::Open,
        takes: Takes::Json,
        run: Run::SignIn,
    },
    Route {
        methods: POST,
        path: proxy_sign_in::PATH,
        access: Access::Open,
        takes: Takes::Json,
        run: Run::SignIn,
    },
    Route { methods: &[Method::Get], ..open("/auth/ticket/{word}", proxy_sign_in::redeem) },
    Route { access: Access::Either, ..get("/auth/session", routes::auth::session) },
    get("/auth/sessions", routes::auth::sessions),
    get("/auth/activity", routes::auth::activity),
    post("/auth/sign-out", Takes::Nothing, routes::auth::sign_out),
    post("/auth/sessions/revoke", Takes::Json, routes::auth::revoke),
    Route { methods: POST, path: "/login.msc", access: Access::Open, takes: Takes::Script, run: Run::SignIn },
    script("/listfolders.msc", msc::folders::list),
    script("/mbox.msc", msc::mailbox::list),
    script("/msg.msc", msc::message::show),
    script("/cmd.msc", msc::command::run),
    script("/send.msc", msc::send::run),
    script("/ldap.msc", msc::people::find),
    open("/.well-known/acme-challenge/{token}", routes::pages::acme_challenge),
    open("/.well-known/jmap", routes::jmap::well_known),
    get("/jmap/session", routes::jmap::session),
    post("/jmap/api", Takes::Jmap, routes::jmap::api),
    Route {
        methods: POST,
        path: "/jmap/upload/{accountId}",
        access: Access::Visitor,
        takes: Takes::Upload,
        run: Run::Upload(routes::jmap::upload),
    },
    get("/jmap/download/{accountId}/{blobId}/{name}", routes::jmap::download),
    get("/jmap/archive/{accountId}/{blobId}/{name}", routes::jmap::archive),
    get("/message/{accountId}/{emailId}", frame::message),
    Route { run: Run::Aside(image_proxy::image), ..get("/image/{code}/{url}", image_proxy::image) },
    Route {
        methods: &[Method::Get],
        path: "/jmap/events",
        access: Access::Visitor,
        takes: Takes::Nothing,
        run: Run::Events,
    },
];

/// What a request is for.
pub enum Found {
    Route(&'static Route, Vec<String>),
    /// The path is there, with these methods only.
    OtherMethods(String),
    Nothing,
}

/// The route of a request.
pub fn find(head: &Head) -> Found {
    let mut methods: Vec<&str> = Vec::new();
    for route in ROUTES {
        let Some(parameters) = fits(route.path, &head.target.segments) else { continue };
        if route.methods.contains(&head.method) {
            return Found::Route(route, parameters);
        }
        methods.extend(route.methods.iter().map(|method| method.name()));
    }
    methods.dedup();
    if methods.is_empty() { Found::Nothing } else { Found::OtherMethods(methods.join(", ")) }
}

fn fits(path: &str, segments: &[String]) -> Option<Vec<String>> {
    let mut pattern = path.split('/').skip(1).filter(|part| !part.is_empty());
    let mut parameters = Vec::new();
    for segment in segments {
        let part = pattern.next()?;
        if part.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            parameters.push(segment.clone());
        } else if part != segment {
            return None;
        }
    }
    pattern.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_fit_whole_or_not_at_all() {
        let fits = |path, asked: &str| {
            let segments: Vec<String> =
                asked.split('/').skip(1).filter(|_| asked != "/").map(str::to_owned).collect();
            super::fits(path, &segments).map(|found| found.join(","))
        };
        assert_eq!(fits("/", "/").as_deref(), Some(""));
        assert_eq!(fits("/a/{x}/b/{y}", "/a/1/b/2").as_deref(), Some("1,2"));
        for asked in ["/a", "/a/1/b", "/a/1/b/2/3", "/a//b/2", "/b/1/b/2", "/a/1/b/2/", "/"] {
            assert_eq!(fits("/a/{x}/b/{y}", asked), None, "{asked}");
        }
    }

    #[test]
    fn what_changes_something_is_for_visitors_or_a_sign_in() {
        for route in ROUTES.iter().filter(|route| route.methods.iter().any(|method| !method.is_safe())) {
            assert!(route.access == Access::Visitor || matches!(route.run, Run::SignIn), "{}", route.path);
        }
    }
}
