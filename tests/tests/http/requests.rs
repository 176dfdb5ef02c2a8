//! Requests: what is answered, what is refused, and that one is never taken for two.

use black_box::{Http, Instance, Setup};

pub fn web() -> Instance {
    let mut instance = Setup::default().create();
    instance.start_web();
    instance
}

/// W16: whatever is asked, nobody may frame it, read it from elsewhere or guess its type.
#[test]
fn every_response_carries_what_protects_it() {
    let instance = web();
    let mut http = instance.http();
    let session = http.sign_in("alice", "alice-secret");
    for (method, path, fields) in [
        ("GET", "/", ""),
        ("HEAD", "/", ""),
        ("GET", "/nowhere", ""),
        ("GET", "/assets/nothing.js", ""),
        ("GET", "/robots.txt", ""),
        ("GET", "/auth/session", ""),
        ("GET", "/auth/session", session.as_str()),
        ("POST", "/", ""),
        ("POST", "/auth/sign-out", ""),
    ] {
        let response = http.ask(method, path, fields, b"");
        let policy = response.field("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(response.field(name), value, "{method} {path}");
        }
        assert!(response.field("access-control-allow-origin").is_empty());
        assert!(response.field("strict-transport-security").is_empty(), "not without TLS");
        if path != "/" && path != "/robots.txt" {
            assert_eq!(response.field("cache-control"), "no-store", "{path}");
        }
    }
    let page = instance.https().get("/", "");
    assert_eq!(page.field("strict-transport-security"), "max-age=31536000");
    assert!(page.field("content-security-policy").contains("require-trusted-types-for 'script'"));
}

/// Wrong requests get their status; after those that could be read in two ways the connection ends.
#[test]
fn bad_requests_are_refused_and_nothing_behind_them_is_read() {
    let instance = web();
    let long = "x".repeat(9000);
    let many = "X: y\r\n".repeat(200);
    let huge = format!("X: {}\r\n", "y".repeat(7000)).repeat(6);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: <script>\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\nHost: localhost\n\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n".to_owned(), 505),
        ("get / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 501),
        ("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 501),
        ("CONNECT localhost:25 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 501),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\n{huge}\r\n"), 431),
        ("POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        ("POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc".to_owned(), 400),
        ("POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: -3\r\n\r\nabc".to_owned(), 400),
        ("POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n".to_owned(), 413),
        ("POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(), 501),
        ("POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".to_owned(), 400),
        ("POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}X\r\n".to_owned(), 400),
        ("POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 200-ok\r\n\r\n".to_owned(), 417),
    ] {
        let mut http = instance.http();
        http.wire.send(request.as_bytes());
        http.wire.try_send(b"GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let response = http.response();
        assert_eq!(response.status, status, "{request:?}");
        assert_eq!(response.field("connection"), "close", "{request:?}");
        assert!(http.wire.is_closed(), "{request:?}: something behind it was answered");
        assert!(!response.text().contains("script"), "{request:?}: {}", response.text());
    }
}

/// What stands in a body is no request, and those that come at once are answered in order.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let instance = web();
    let mut http = instance.http();
    let body = "GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let chunked = format!("{:x}\r\n{body}\r\n0\r\nX-Sum: 1\r\n\r\n", body.len());
    http.wire.send(
        format!(
            "GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}GET http://localhost/nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
            body.len()
        )
        .as_bytes(),
    );
    assert!(http.response().text().starts_with("User-agent"));
    let head = http.head();
    assert_eq!((head.status, head.field("content-length")), (200, "26"));
    assert_eq!(http.response().status, 400, "the body is no JSON");
    assert_eq!(http.response().status, 400);
    assert_eq!(http.response().status, 404);
}

/// W17: no path of a request reaches the file system.
#[test]
fn paths_lead_nowhere_else() {
    let instance = web();
    for path in [
        "/../etc/passwd",
        "/assets/../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/assets/%2fetc%2fpasswd",
        "/assets/index.html",
        "/assets/table.rs",
        "/assets/",
        "//etc/passwd",
        "/config/local.conf",
        "/%00",
        "/assets/a%0d%0aSet-Cookie:%20x",
        "/auth/session/",
        "/.git/config",
    ] {
        let response = instance.http().get(path, "");
        assert!(matches!(response.status, 400 | 404), "{path}: {}", response.status);
        assert!(response.field("set-cookie").is_empty());
        assert!(!response.text().contains("root:") && !response.text().contains("service."), "{path}");
    }
}

#[test]
fn methods_and_bodies_that_do_not_fit_are_told() {
    let instance = web();
    let mut http = instance.http();
    let response = http.ask("DELETE", "/auth/session", "", b"");
    assert_eq!((response.status, response.field("allow")), (405, "GET, HEAD"));
    assert_eq!(http.ask("POST", "/auth/sign-in", "", b"").status, 415);
    let form = "Content-Type: text/plain\r\n";
    assert_eq!(
        http.ask("POST", "/auth/sign-in", form, br#"{"user":"alice","password":"alice-secret"}"#).status,
        415
    );
    let mut http = instance.http();
    let large = format!(r#"{{"user":"alice","password":"{}"}}"#, "x".repeat(20_000));
    assert_eq!(http.post_json("/auth/sign-in", "", &large).status, 413);
    for body in ["", "{", "[]", "null", "7", r#"{"user":7,"password":8}"#, r#"{"user":"alice"}"#, "\u{0}"] {
        assert_eq!(instance.http().post_json("/auth/sign-in", "", body).status, 400, "{body}");
    }
}

/// RFC 9110 10.1.1: the body is asked for when the request is one that could be answered, and only then.
#[test]
fn a_body_is_asked_for_when_it_is_wanted() {
    let instance = web();
    let body = br#"{"user":"alice","password":"alice-secret"}"#;
    let begin = |http: &mut Http, path: &str| {
        http.wire.send(
            format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
                body.len()
            )
            .as_bytes(),
        );
    };
    let mut http = instance.http();
    begin(&mut http, "/auth/sign-in");
    assert_eq!(http.response().status, 100);
    http.wire.send(body);
    assert_eq!(http.response().status, 200);
    begin(&mut http, "/auth/sessions/revoke");
    assert_eq!(http.response().status, 401, "without asking for it");
    assert!(http.wire.is_closed());
}

/// RFC 7301: with TLS, http/1.1 is spoken; who knows other protocols only is told so in the handshake.
#[test]
fn the_protocol_is_agreed_upon_in_the_handshake() {
    let instance = web();
    let shake = |offered: &[u8]| {
        let mut connector =
            openssl::ssl::SslConnector::builder(openssl::ssl::SslMethod::tls_client()).unwrap();
        connector.set_ca_file(instance.path("config/certs/ca.pem")).unwrap();
        if !offered.is_empty() {
            connector.set_alpn_protos(offered).unwrap();
        }
        let stream = connector.build().connect("localhost", instance.connect(black_box::instance::HTTPS));
        stream.map(|stream| stream.ssl().selected_alpn_protocol().map(<[u8]>::to_vec)).map_err(|_| ())
    };
    assert_eq!(shake(b"\x02h2\x08http/1.1"), Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(shake(b""), Ok(None));
    assert_eq!(shake(b"\x02h2"), Err(()));
}

/// HTTP/1.0, and a client that ends its side at once, get a whole answer.
#[test]
fn simple_clients_are_answered() {
    let instance = web();
    let mut http = instance.http();
    http.wire.send(b"GET /robots.txt HTTP/1.0\r\n\r\n");
    http.wire.socket().shutdown(std::net::Shutdown::Write).unwrap();
    let response = http.response();
    assert_eq!((response.status, response.field("connection")), (200, "close"));
    assert!(http.wire.is_closed());
    let mut http = instance.http();
    for piece in b"\r\nGET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\n".chunks(1) {
        http.wire.send(piece);
    }
    assert_eq!(http.response().status, 200, "byte by byte");
}
