//! Images of other hosts: fetched for who asks, from addresses of the Internet alone (W11), and passed on as what they are.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use black_box::addresses::of_peer;
use black_box::instance::{WEB, wait_for};
use black_box::{Http, Instance, Setup, StubDns};
use socket2::{Domain, Socket, Type};

const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// Listens, and notices who comes. The canaries of other runs may listen there too: somebody who is led astray comes to one of
/// them. None where it cannot be: a web server of this machine has the port, or there is no IPv6.
fn canary(address: IpAddr, port: u16) -> Option<TcpListener> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).ok()?;
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    let listens = socket.bind(&address.into()).and_then(|()| socket.listen(16));
    if let Err(why) = listens {
        eprintln!("no canary at {address}: {why}");
        return None;
    }
    socket.set_nonblocking(true).unwrap();
    Some(socket.into())
}

/// A message of these images for alice; the page that shows them, and the addresses in it.
fn shown(instance: &Instance, http: &mut Http, session: &str, urls: &[&str]) -> (String, Vec<String>) {
    let mut imap = instance.imap("alice");
    let number = imap.exists("INBOX") + 1;
    let images: String = urls.iter().map(|url| format!("<img src=\"{url}\">\r\n")).collect();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    let mail = format!(
        "Subject: images\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{images}"
    );
    smtp.send_message("sender@example.org", &["alice@example.test"], &mail);
    wait_for("the message", || (imap.exists("INBOX") >= number).then_some(()));
    imap.ok("EXAMINE INBOX");
    let said = imap.ok(&format!("FETCH {number} (EMAILID)")).join(" ");
    let id = said.split_once("EMAILID (").unwrap().1.split(')').next().unwrap().to_owned();
    let page = http.get(&format!("/message/alice/{id}?images=1"), session);
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let addresses = text.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    (text.clone(), addresses.collect())
}

#[test]
fn no_image_is_fetched_from_an_address_that_is_not_of_the_internet() {
    let dns = StubDns::start();
    for (name, kind, data) in [
        ("v4.evil.test", "A", "127.0.0.1"),
        ("v6.evil.test", "AAAA", "::1"),
        ("mapped.evil.test", "AAAA", "::ffff:127.0.0.1"),
        ("compatible.evil.test", "AAAA", "::127.0.0.1"),
        ("nat64.evil.test", "AAAA", "64:ff9b::7f00:1"),
        ("sixtofour.evil.test", "AAAA", "2002:7f00:1::"),
        ("zero.evil.test", "A", "0.0.0.0"),
        ("zero6.evil.test", "AAAA", "::"),
        ("private.evil.test", "A", "10.0.0.1"),
        ("private.evil.test", "A", "127.0.0.1"),
        ("link.evil.test", "A", "169.254.169.254"),
        ("shared.evil.test", "A", "100.64.0.1"),
        ("local6.evil.test", "AAAA", "fe80::1"),
        ("unique6.evil.test", "AAAA", "fc00::1"),
        ("127.0.0.1.nip.test", "A", "127.0.0.1"),
        ("7f000001.nip.test", "A", "127.0.0.1"),
        ("cname.evil.test", "CNAME", "v4.evil.test."),
        ("localhost", "A", "127.0.0.1"),
        ("a.localhost", "A", "127.0.0.1"),
    ] {
        dns.add(name, kind, 60, data);
    }
    let own = of_peer();
    dns.add("redirects.test", "A", 60, &own.to_string());
    let mut instance = Setup::default()
        .set("service.smtp.dnsservers", &dns.parameter())
        .set("service.http.imageproxynetworks", &format!("{own}/32"))
        .start();
    instance.start_one(WEB.0);
    let families =
        [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(instance.address)];
    let canaries: Vec<TcpListener> =
        families.iter().flat_map(|address| [canary(*address, 80), canary(*address, 443)]).flatten().collect();
    assert!(canaries.len() >= 2, "nobody else has the ports of the instance's own address");
    // One host that may be asked, and leads where nobody may.
    let host = ImageHost::start(own, |path| {
        let to = match path {
            "/name" => "http://v4.evil.test/x",
            "/number" => "http://2130706433/x",
            "/plain" => "http://127.0.0.1/x",
            "/v6" => "//[::1]/x",
            "/tls" => "https://v4.evil.test/x",
            "/scheme" => "file:///etc/passwd",
            "/gopher" => "gopher://127.0.0.1:80/x",
            _ => "http://redirects.test/loop",
        };
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let at = instance.address.to_string();
    let own_host = format!("http://{at}/");
    let urls = [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "http://127.0.0.1:443/",
        "http://127.1/",
        "http://127.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0X7F.1/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://0177.1/",
        "http://127.0.0.01/",
        "http://127.0.0.1./",
        "http://127.000.000.001/",
        "http://%31%32%37.0.0.1/",
        "http://\u{ff11}27.0.0.1/",
        "http://127\u{3002}0\u{3002}0\u{3002}1/",
        "http://0/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[::]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fe80::1%25lo]/",
        "http://[fc00::1]/",
        "http://localhost/",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://a.localhost/",
        "http://localhost.localdomain/",
        "http://v4.evil.test/",
        "http://V4.EVIL.TEST./",
        "https://v4.evil.test/",
        "http://v6.evil.test/",
        "http://mapped.evil.test/",
        "http://compatible.evil.test/",
        "http://nat64.evil.test/",
        "http://sixtofour.evil.test/",
        "http://zero.evil.test/",
        "http://zero6.evil.test/",
        "http://private.evil.test/",
        "http://link.evil.test/",
        "http://shared.evil.test/",
        "http://local6.evil.test/",
        "http://unique6.evil.test/",
        "http://127.0.0.1.nip.test/",
        "http://7f000001.nip.test/",
        "http://cname.evil.test/",
        "http://8.8.8.8@127.0.0.1/",
        "http://127.0.0.1\\@8.8.8.8/",
        "http://127.0.0.1#@8.8.8.8/",
        "http://127.0.0.1:80:80/",
        "http://169.254.169.254/latest/",
        "http://10.0.0.1/",
        "http:127.0.0.1/",
        "http:\\\\127.0.0.1/",
        "//127.0.0.1/",
        "//v4.evil.test/",
        "http://redirects.test/name",
        "http://redirects.test/number",
        "http://redirects.test/plain",
        "http://redirects.test/v6",
        "http://redirects.test/tls",
        "http://redirects.test/scheme",
        "http://redirects.test/gopher",
        "http://redirects.test/loop",
        &own_host,
    ];
    let mut http = instance.http();
    let session = http.sign_in("alice", "alice-secret");
    let (_, addresses) = shown(&instance, &mut http, &session, &urls);
    assert!(addresses.len() >= 25, "only {} are worth a try: {addresses:?}", addresses.len());
    for address in &addresses {
        let response = http.get(address, &session);
        assert_eq!(response.status, 502, "{address}: {}", response.text());
    }
    for listener in &canaries {
        let came = listener.accept();
        let nobody = came.as_ref().is_err_and(|why| why.kind() == ErrorKind::WouldBlock);
        assert!(nobody, "{:?} was reached by {came:?}", listener.local_addr());
    }
    assert!(host.asked().len() >= 8, "the host that redirects was not asked: {:?}", host.asked());
}

#[test]
fn an_image_is_passed_on_by_its_own_type_and_nothing_is_told() {
    let dns = StubDns::start();
    let own = of_peer();
    dns.add("images.test", "A", 60, &own.to_string());
    let mut instance = Setup::default()
        .set("service.smtp.dnsservers", &dns.parameter())
        .set("service.http.imageproxynetworks", &format!("{own}/32"))
        .set("service.http.maxthreads", "1")
        .start();
    instance.start_one(WEB.0);
    let host = ImageHost::start(own, |path| {
        let of = |kind: &str, body: &[u8]| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nSet-Cookie: seen=1\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            [head.as_bytes(), body].concat()
        };
        match path {
            "/a.gif?x=1" => of("text/html", GIF),
            "/moved" => b"HTTP/1.1 301 Moved\r\nLocation: a.gif?x=1\r\n\r\n".to_vec(),
            "/chunks" => {
                [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2b\r\n"[..], GIF, b"\r\n0\r\n\r\n"]
                    .concat()
            }
            "/page" => of("image/gif", b"<html><script>alert(1)</script>"),
            "/svg" => of("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            "/bomb" => of("image/gif", b"GIF89a\xff\xff\xff\xff"),
            "/large" => b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nGIF89a".to_vec(),
            "/short" => b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nGIF89a".to_vec(),
            _ => b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec(),
        }
    });
    let mut http = instance.http();
    let session = http.sign_in("alice", "alice-secret");
    let paths = ["a.gif?x=1", "moved", "chunks", "page", "svg", "bomb", "large", "short", "none", "silent"];
    let urls: Vec<String> = paths.iter().map(|path| format!("http://images.test/{path}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (page, addresses) = shown(&instance, &mut http, &session, &urls);
    assert!(page.contains("data-images=\"shown\""), "{page}");
    assert!(!page.contains("images.test/"), "{page}");
    let by_path: BTreeMap<&str, &String> = paths.into_iter().zip(&addresses).collect();
    for path in ["a.gif?x=1", "moved", "chunks"] {
        let response = http.get(by_path[path], &session);
        assert_eq!((response.status, response.body.as_slice()), (200, GIF), "{path}");
        assert_eq!(response.field("content-type"), "image/gif");
        assert_eq!(response.field("set-cookie"), "");
        assert_eq!(response.field("x-content-type-options"), "nosniff");
        assert!(response.field("cache-control").starts_with("private"));
        assert!(response.field("content-security-policy").contains("sandbox"));
    }
    for path in ["page", "svg", "bomb", "large", "short", "none"] {
        assert_eq!(http.get(by_path[path], &session).status, 502, "{path}");
    }
    for line in host.asked() {
        let text = line.to_ascii_lowercase();
        for name in ["cookie:", "referer:", "authorization:", "forwarded", "via:", "127.0.0.1"] {
            assert!(!text.contains(name), "the host was told {line}");
        }
    }
    // Only what this host wrote for this user is fetched, and only for who has signed in.
    let good = by_path["a.gif?x=1"];
    let (_, rest) = good.strip_prefix("/image/").unwrap().split_once('/').unwrap();
    let mut others = instance.http();
    let bob = others.sign_in("bob", "bob-secret");
    assert_eq!(others.get(good, &bob).status, 404);
    assert_eq!(instance.http().get(good, "").status, 401);
    for code in ["0".repeat(32), String::from("x"), "f".repeat(64)] {
        assert_eq!(http.get(&format!("/image/{code}/{rest}"), &session).status, 404);
    }
    // A host that says nothing holds no worker, and there is only one.
    let mut waiting = instance.http();
    waiting.send("GET", by_path["silent"], &session, b"");
    wait_for("the silent host to be asked", || {
        host.asked().iter().any(|head| head.contains("/silent")).then_some(())
    });
    assert_eq!(http.get("/auth/session", &session).status, 200);
}

#[test]
fn without_the_proxy_no_image_of_others_is_shown() {
    let mut instance = Setup::default().set("service.http.imageproxy", "no").start();
    instance.start_one(WEB.0);
    let mut http = instance.http();
    let session = http.sign_in("alice", "alice-secret");
    let (page, addresses) = shown(&instance, &mut http, &session, &["http://images.test/a.png"]);
    assert!(page.contains("data-images=\"off\" data-blocked=\"1\""), "{page}");
    assert!(addresses.is_empty(), "{addresses:?}");
    assert_eq!(http.get("/image/00/aHR0cDovL2ltYWdlcy50ZXN0Lw", &session).status, 404);
}

/// A host of images on port 80; `/silent` is not answered.
struct ImageHost(Arc<Mutex<Vec<String>>>);

impl ImageHost {
    fn start(address: Ipv4Addr, answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> ImageHost {
        let listener = TcpListener::bind((address, 80)).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|count| count > 2) {}
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                seen.lock().unwrap().push(head);
                let mut stream = reader.into_inner();
                if path == "/silent" {
                    held.push(stream);
                } else {
                    let _ = stream.write_all(&answer(&path));
                }
            }
        });
        ImageHost(asked)
    }

    /// The heads of the requests so far.
    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
