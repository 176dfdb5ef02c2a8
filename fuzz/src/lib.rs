//! The parsers that strangers reach, as functions of bytes, with inputs to begin from. `tests/mutations.rs` gives them what
//! becomes of those by chance. A target checks what must hold of any input; it fails by panicking.

pub mod mutation;

use connection::compression::Compression;
use imap_wire::{Cursor, Naming};
use mail_format::{ContentType, LineEnds, Structure, TransferEncoding};
use pop3_wire::stuffing::Stuffer;

/// A parser.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Inputs that it accepts.
    pub seeds: &'static [&'static str],
}

pub const TARGETS: [Target; 22] = [
    Target { name: "http requests", run: http_requests, seeds: HTTP },
    Target { name: "http fields", run: http_fields, seeds: FIELDS },
    Target { name: "imap command", run: imap_command, seeds: IMAP },
    Target {
        name: "imap COMPRESS",
        run: imap_compress,
        seeds: &["K\x04\0", "\x02\0", "a UID FETCH 1:* (FLAGS)\r\n"],
    },
    Target { name: "imap URL", run: imap_url, seeds: URLS },
    Target {
        name: "imap sequence set",
        run: imap_sequence_set,
        seeds: &["1:*", "1,3:5,*:7,4294967295", "$"],
    },
    Target {
        name: "modified UTF-7",
        run: modified_utf7,
        seeds: &["INBOX/&ZeVnLIqe-", "&-a&AOQ-b", "a&2D3eAA-"],
    },
    Target { name: "message", run: message, seeds: MESSAGES },
    Target { name: "html", run: html, seeds: HTML },
    Target {
        name: "css",
        run: css,
        seeds: &[
            "p, #x > a:hover { color: rgb(1,2,3) !important } @media screen { b { font: 1px 'a' } }",
            "a{b:url(c)}",
        ],
    },
    Target {
        name: "text as html",
        run: text_as_html,
        seeds: &["> a \r\n>> b\r\n-- \r\nhttp://a.b/(c) d@e.f", "a \n b"],
    },
    Target { name: "filter rules", run: filter_rules, seeds: RULES },
    Target { name: "surrogate", run: surrogate, seeds: MESSAGES },
    Target { name: "addresses", run: addresses, seeds: ADDRESSES },
    Target {
        name: "date",
        run: date,
        seeds: &["Mon, 3 Mar 2025 10 : 11 : 12 +0100 (x)", "Mon Mar  3 10:00:00 2025"],
    },
    Target { name: "words", run: words, seeds: &["=?utf-8?q?J=C3=B6?= =?x?b?YQ==?= Re: [a] Fwd: b (fwd)"] },
    Target {
        name: "content type",
        run: content_type,
        seeds: &["a/b; x*0*=u''%41; x*1=\"b\\\"\"; y=z (c)", "text/plain"],
    },
    Target {
        name: "transfer encoding",
        run: transfer,
        seeds: &["=C3=\n=84 =\r\n.", "QUJD\r\nQQ==", "a\nb\r\n"],
    },
    Target { name: "smtp command", run: smtp_command, seeds: SMTP },
    Target {
        name: "smtp content",
        run: smtp_content,
        seeds: &["a\r\n..b\r\n.\r\n", "a\n.\r\n\r.\r\n", "\r\n.\r\n"],
    },
    Target {
        name: "pop command",
        run: pop_command,
        seeds: &["USER a b", "TOP 1 20", "AUTH PLAIN AGE=", "LANG en", "RETR 1"],
    },
    Target {
        name: "queue envelope",
        run: queue_envelope,
        seeds: &["", "Mailboat-Envelope: 1\nEnd: 00000000\n"],
    },
];

const HTTP: &[&str] = &[
    "GET /a%20b/c?x=%2B&y HTTP/1.1\r\nHost: h:80\r\nCookie: a=b; c=d\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    "OPTIONS * HTTP/1.0\r\n\r\n",
];

const FIELDS: &[&str] = &[
    "bytes=0-5",
    "bytes=-5,7-",
    "for=\"[2001:db8::1]:80\";proto=https, for=192.0.2.1",
    "192.0.2.1, unknown",
    "gzip;q=0.5, br;q=0, *",
    "de-AT, en;q=0.001",
    "a=1; b=2; a=3",
    "../\u{202e}x\"\\ .txt",
];

/// A head, parsed again as it says it is, gives the same; nothing of a body becomes a request.
fn http_requests(bytes: &[u8]) {
    let (found, _) = http_wire::reader::requests(bytes);
    for (head, body) in &found {
        assert!(head.fields.len() <= http_wire::head::FIELDS_MAX);
        assert!(body.len() <= bytes.len());
        assert!(!head.target.segments.iter().any(|segment| segment == ".." || segment.contains('\0')));
        for name in ["content-length", "transfer-encoding"] {
            assert!(head.fields.iter().filter(|(have, _)| have == name).count() <= 1);
        }
    }
}

/// As a stream: it ends, and no byte makes more than the format has for it (RFC 1951 §3.2.5: 258 for two bits). What we compress
/// is what is read again.
fn imap_compress(bytes: &[u8]) {
    let mut stream = Compression::new(6, Vec::new());
    let (mut made, mut room) = (0, [0; 5000]);
    'stream: for piece in bytes.chunks(4096) {
        stream.room()[..piece.len()].copy_from_slice(piece);
        stream.filled(piece.len());
        while stream.has_more() {
            let Ok(news) = stream.unpack(&mut room) else { break 'stream };
            assert!(news > 0 || !stream.has_more(), "it would go on for ever");
            made += news;
        }
    }
    assert!(made <= bytes.len() * 4 * 258, "{made} of {}", bytes.len());
    let mut ours = Compression::new(3, Vec::new());
    ours.pack(bytes);
    let (mut peer, mut read) = (Compression::new(6, ours.packed().to_vec()), Vec::new());
    while peer.has_more() {
        let news = peer.unpack(&mut room).unwrap_or_else(|_| panic!("the peer cannot read it"));
        read.extend_from_slice(&room[..news]);
    }
    assert!(read == bytes, "another text");
}

/// The values of fields: nothing that comes out can end a line.
fn http_fields(bytes: &[u8]) {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(http_wire::reader::LINE_BYTES_MAX)]); // no line is longer
    let _ = http_wire::range::parse(&text, 1000);
    let _ = http_wire::target::form(&text);
    let shown = http_wire::disposition::attachment(&text);
    assert!(!shown.bytes().any(|byte| byte < 0x20 || byte == 0x7f), "{shown:?}");
    let head = http_wire::response::head(200, &[("X", &text)], http_wire::response::Length::None, true);
    assert_eq!(head.windows(4).filter(|end| *end == b"\r\n\r\n").count(), 1);
    let value: String = text.chars().filter(|c| !c.is_control()).collect();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nCookie: {value}\r\nAccept-Encoding: {value}\r\nAccept-Language: {value}\r\nForwarded: {value}\r\nX-Forwarded-For: {value}\r\n\r\n"
    );
    let Ok(head) = http_wire::head::parse(request.as_bytes()) else { return };
    let _ = http_wire::cookie::value(&head, "a");
    let _ = http_wire::negotiate::takes_coding(&head, "br");
    let _ = http_wire::negotiate::language(&head, &["en", "de"]);
    for fields in [http_wire::forwarded::Fields::XForwarded, http_wire::forwarded::Fields::Forwarded] {
        let _ = http_wire::forwarded::addresses(&head, fields);
        let _ = http_wire::forwarded::is_secure(&head, fields);
    }
}

const IMAP: &[&str] = &[
    "a LOGIN \"u\\\"\" {3+}\r\nabc",
    "a SELECT \"&ZeVnLIqe-\" (QRESYNC (1 2 1:5 (1,2 3,4)))",
    "a UID FETCH 1:*,5 (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (A \"b\")]<0.10> BINARY.SIZE[1]) (CHANGEDSINCE 1 VANISHED)",
    "a SEARCH RETURN (MIN PARTIAL 1:5) CHARSET UTF-8 (OR NOT SEEN (SINCE 1-Feb-2001)) HEADER A b UID 1:* OLDER 5",
    "a SORT (REVERSE DATE SUBJECT) UTF-8 ALL",
    "a UID THREAD REFERENCES UTF-8 TEXT x",
    "a STORE 1:2 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\Seen $a b)",
    "a LIST (SUBSCRIBED) \"\" (\"%\" \"a*\") RETURN (STATUS (MESSAGES UNSEEN) CHILDREN)",
    "a APPEND INBOX (\\Seen) \" 1-Feb-2001 01:02:03 +0000\" {5}",
    "a APPEND INBOX CATENATE (URL \"/a/;UID=1\" URL {3}\r\n/b/) CATENATE (URL c UTF8 (~{5}",
    "a STATUS a (MESSAGES UIDNEXT SIZE)",
    "a ID (\"name\" NIL)",
    "a SETQUOTA \"\" (STORAGE 5)",
    "a AUTHENTICATE PLAIN =",
    "a NOTIFY SET STATUS (SELECTED-DELAYED (MessageNew (UID FLAGS) MessageExpunge FlagChange)) (SUBTREE-ONE (a \"b\") (MailboxName))",
    "a NOTIFY NONE",
    "a GETMETADATA (MAXSIZE 1024 DEPTH infinity) \"\" (/shared/comment /private/vendor/x)",
    "a SETMETADATA INBOX (/private/comment {3}\r\nabc /shared/comment NIL)",
    "a SETACL INBOX -user +lrswipkxtea",
    "a REPLACE 5 Drafts (\\Draft) {5}",
    "a GENURLAUTH \"imap://a@h/INBOX/;UID=1;EXPIRE=2030-01-02T03:04:05Z;URLAUTH=user+b\" INTERNAL",
    "a URLFETCH \"imap://a@h/INBOX/;UID=1;URLAUTH=anonymous:internal:00ff\" (\"imap://a@h/x/;UID=2\" BODYPARTSTRUCTURE BINARY)",
    "a UIDBATCHES 1000 1:5",
    "a ESEARCH IN (mailboxes (a b) subtree-one c) RETURN (COUNT) UNSEEN",
    "a LANGUAGE de i-default",
    "a CANCELUPDATE \"b\" \"c\"",
    "a XSERVERINFO MANAGEACCOUNTURL MANAGEFILTERSURL",
];
const URLS: &[&str] = &[
    "imap://a%40b;AUTH=*@[::1]:143/INBOX/b%C3%BC;UIDVALIDITY=5/;UID=7/;SECTION=1.2.MIME/;PARTIAL=0.10",
    "/a/;UID=1/;SECTION=HEADER.FIELDS%20(TO%20%22b%22)",
];
const MESSAGES: &[&str] = &[
    "From: J\u{fc} <a@b>, G: c@d;\r\nSubject: =?utf-8?q?a?=\r\n b\r\nDate: Mon, 3 Mar 2025 10:00:00 +0000\r\n\r\nx\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nTo: a@b\r\n\r\nx\r\n--b--\r\n",
    "Content-Type: multipart/digest; boundary=\"b b\"\r\n\r\n--b b\r\n\r\nA: b\r\n\r\n--b b\r\nContent-Type: text/html\r\n\r\n<p>",
];
const HTML: &[&str] = &[
    "<p style=\"color:red\">a<b>c</p>d<table><td>e<a href='http://f'>g<svg><style>h</style></svg><img src=cid:i>",
    "<!doctype html><html><head><style>p { color: red }</style></head><body bgcolor=red><!--a--><pre>\n\nb</pre><select><option>c",
];
const ADDRESSES: &[&str] =
    &["A \"B\\\"\" (c(d)) <@r,@s:l . o@[1.2] . e>, \"x\".y@z, G: a@b, <c>;, d@e <f@g>, h i j"];
const SMTP: &[&str] = &[
    "EHLO [IPv6:::1]",
    "MAIL FROM:<@a,@b:\"c d\"@e.test> SIZE=5 BODY=8BITMIME RET=HDRS ENVID=a+20b SMTPUTF8 HOLDFOR=5",
    "RCPT TO:<a@[1.2.3.4]> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb",
    "AUTH PLAIN AGE=",
    "BDAT 5 LAST",
    "VRFY a",
    "XCLIENT ADDR=1.2.3.4 NAME=a",
];

fn imap_command(input: &[u8]) {
    let Ok(head) = imap_wire::head(input) else { return };
    for naming in [Naming::ModifiedUtf7, Naming::Utf8] {
        if let Err(error) = imap_wire::parse(input, &head, naming) {
            assert!(error.offset <= input.len() + 1, "the mistake is behind the end");
        }
        if let Err(error) = imap_wire::command::append::parse(input, naming) {
            assert!(error.offset <= input.len() + 1, "the mistake is behind the end");
        }
    }
}

fn imap_url(input: &[u8]) {
    let url = imap_wire::Url::read(input);
    assert!(url.is_none_or(|url| url.uid > 0 && !url.mailbox.is_empty()));
    assert!(!imap_wire::url::in_response_code(input).contains([']', '\r', '\n', ' ']));
}

fn imap_sequence_set(input: &[u8]) {
    let mut cursor = Cursor::new(input);
    let _ = imap_wire::sequence::sequence_set(&mut cursor);
    assert!(cursor.offset <= input.len());
}

fn modified_utf7(input: &[u8]) {
    if let Some(name) = imap_wire::utf7::decode(input) {
        let again = imap_wire::utf7::encode(&name);
        assert_eq!(imap_wire::utf7::decode(again.as_bytes()).as_ref(), Some(&name), "{again}");
    }
}

/// Cleaning what was cleaned changes nothing, if there was time to read it again.
fn html(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    let once = html_clean::clean(&input, &mut |_| None);
    let page = format!("<style>{}</style>{}", once.sheet(), once.body());
    let twice = html_clean::clean(&page, &mut |_| None);
    let is_same = (once.body(), once.sheet()) == (twice.body(), twice.sheet());
    assert!(
        is_same || twice.is_cut(),
        "{} {:?} {} {:?}",
        once.sheet(),
        once.body(),
        twice.sheet(),
        twice.body()
    );
    html_clean::to_text(&input);
}

fn css(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    let clean = html_clean::clean(&format!("<style>{input}</style>"), &mut |_| None);
    for bad in ["url(", "@import", "position", "expression", "<"] {
        assert!(!clean.sheet().contains(bad), "{bad} in {}", clean.sheet());
    }
}

fn text_as_html(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    for format in [html_clean::Format::Fixed, html_clean::Format::Flowed { delete_space: false }] {
        let html = html_clean::from_text(&input, format);
        let again = html_clean::clean(html.body(), &mut |_| None);
        assert!(html.is_cut() || again.is_cut() || html.body() == again.body());
    }
}

fn message(input: &[u8]) {
    let structure = mail_format::scan(input);
    assert_eq!(Structure::decode(&structure.encode()).as_ref(), Some(&structure));
    for shown in [structure.envelope(input), structure.body(input), structure.bodystructure(input)] {
        assert!(shown.starts_with(b"(") && shown.ends_with(b")"));
    }
}

fn surrogate(input: &[u8]) {
    let out = mail_format::surrogate(input);
    assert!(!mail_format::has_utf8_header(&out), "a header in UTF-8 is left");
    if !mail_format::has_utf8_header(input) && std::str::from_utf8(input).is_ok_and(str::is_ascii) {
        assert!(out.len() <= input.len(), "an ASCII message grew");
    }
}

fn addresses(input: &[u8]) {
    mail_format::address_list(input);
}

fn date(input: &[u8]) {
    mail_format::date(input);
}

fn words(input: &[u8]) {
    let text = mail_format::decode_words(input);
    mail_format::base_subject(&text);
    mail_format::encode_words(&text);
    mail_format::message_ids(input).for_each(drop);
}

fn content_type(input: &[u8]) {
    ContentType::parse(input);
    ContentType::parse_disposition(input);
}

fn transfer(input: &[u8]) {
    for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
        let mut decoder = mail_format::Decoder::new(encoding);
        let mut out = Vec::new();
        input.chunks(7).for_each(|piece| decoder.push(piece, &mut out));
        decoder.finish(&mut out);
        assert!(out.len() <= input.len() + 2);
    }
    let mut ends = LineEnds::default();
    let mended: Vec<u8> = input.chunks(5).flat_map(|piece| ends.mend(piece).into_owned()).collect();
    assert_eq!(LineEnds::default().mend(&mended).len(), mended.len(), "what is mended stays");
}

fn smtp_command(input: &[u8]) {
    for utf8 in [false, true] {
        let _ = smtp_wire::parse(input, utf8);
    }
}

/// However the content is cut, the same comes out.
fn smtp_content(input: &[u8]) {
    let decoded = |piece: usize| {
        let mut decoder = smtp_wire::Decoder::data();
        let mut out = Vec::new();
        for bytes in input.chunks(piece) {
            if !matches!(decoder.decode(bytes, &mut out), smtp_wire::Ending::Open) {
                break;
            }
        }
        out
    };
    assert_eq!(decoded(input.len().max(1)), decoded(3));
}

fn pop_command(input: &[u8]) {
    let _ = pop3_wire::parse(input);
    let mut out = Vec::new();
    let mut stuffer = Stuffer::default();
    input.chunks(3).for_each(|piece| stuffer.push(piece, &mut out));
    stuffer.finish(&mut out);
    let ends = out.windows(5).filter(|window| *window == b"\r\n.\r\n").count();
    assert!(ends == 1 || (ends == 0 && out == b".\r\n"), "the answer ends once");
}

fn queue_envelope(input: &[u8]) {
    let _ = mail_queue::Envelope::decode(input);
    let _ = mail_queue::Command::decode(input);
}

const RULES: &[&str] = &[
    "# x\n:a Subject:case \"b c\" \\\n JUMP b\n:b * :envonly x REJECT \"no \\\"d\\\"\"\nTo y COPY e@f.example\n",
    "User-From ^<a@ DROP\nX z HOLD # h\nSubject . EXIT\n",
];

/// Rules are taken, or each mistake has its line; what is taken ends with each message.
fn filter_rules(input: &[u8]) {
    // Each expression is compiled, which is what takes time: the file's own limit is for an administrator, not for chance.
    let input = &input[..input.len().min(2048)];
    let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    match ube_filter::Filter::parse(input) {
        Err(mistakes) => assert!(!mistakes.is_empty() && mistakes.iter().all(|one| one.line <= lines)),
        Ok(filter) => {
            let controls = vec![(ube_filter::Control::UserFrom, "<a@b.example>".to_owned())];
            let judgement =
                filter.judge(&ube_filter::Mail { header: b"Subject: b c\r\nTo: y\r\n\r\n", controls });
            assert!(judgement.fired.len() <= filter.len());
        }
    }
}
