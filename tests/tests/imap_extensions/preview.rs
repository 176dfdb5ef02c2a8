//! PREVIEW (RFC 8970).

use super::*;

fn preview(imap: &mut Imap, message: &str) -> String {
    assert!(imap.append("INBOX", "", message).starts_with("OK"));
    imap.ok("NOOP");
    let last = imap.exists("INBOX");
    let row = imap.ok(&format!("FETCH {last} (PREVIEW (LAZY))")).remove(0);
    assert_eq!(imap.ok(&format!("FETCH {last} PREVIEW")), std::slice::from_ref(&row));
    row.strip_prefix(&format!("* {last} FETCH (PREVIEW ")).unwrap().strip_suffix(')').unwrap().to_owned()
}

#[test]
fn the_beginning_of_the_text_is_shown() {
    let (_instance, mut imap) = mailbox_of(1);
    assert!(is_offered(&mut imap, "PREVIEW"));
    assert_eq!(imap.ok("UID FETCH 1 (PREVIEW UID)"), ["* 1 FETCH (PREVIEW \"at noon?\" UID 1)"]);
    assert_eq!(imap.ok("FETCH 1 FLAGS"), ["* 1 FETCH (FLAGS (\\Recent))"]); // a preview is no reading
    let both = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Gr=FC=DFe \"Joe\"=\r\n, bis\r\n> bald\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>no</p>\r\n--b--\r\n";
    assert_eq!(preview(&mut imap, both), "{18}\r\nGrüße \"Joe\", bis");
    let html = "Content-Type: text/html\r\n\r\n<style>p {}</style><h1>Sale</h1><p>&quot;now&quot; &amp; here</p>\r\n";
    assert_eq!(preview(&mut imap, html), r#""Sale \"now\" & here""#);
    let long = format!("Subject: x\r\n\r\n{}\r\n", "word ".repeat(100_000));
    assert_eq!(preview(&mut imap, &long), format!("\"{}\"", "word ".repeat(40).trim_end()));
}

#[test]
fn what_has_no_text_has_an_empty_preview() {
    let (_instance, mut imap) = mailbox_of(0);
    for message in [
        "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n",
        "Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nnot shown\r\n",
        "Content-Type: multipart/mixed; boundary=never\r\n\r\nnothing inside\r\n",
        "Subject: x\r\n\r\n",
        "Content-Type: text/html\r\n\r\n<script>\r\n",
    ] {
        assert_eq!(preview(&mut imap, message), "\"\"", "{message}");
    }
    all_bad(
        &mut imap,
        &[
            "FETCH 1 PREVIEW ()",
            "FETCH 1 (PREVIEW (NOW))",
            "FETCH 1 (PREVIEW (LAZY LAZY))",
            "FETCH 1 PREVIEWS",
        ],
    );
}

#[test]
fn hostile_text_costs_little() {
    let (_instance, mut imap) = mailbox_of(0);
    for (piece, count) in
        [("<a b='", 20_000), ("</style ", 20_000), ("<!--", 40_000), ("&", 100_000), ("<blockquote>", 9_000)]
    {
        let message =
            format!("Content-Type: text/html\r\n\r\n<style>{0}</style>{0}\r\n", piece.repeat(count));
        let start = std::time::Instant::now();
        preview(&mut imap, &message);
        assert!(start.elapsed().as_secs() < 20, "{piece}: {:?}", start.elapsed());
    }
}
