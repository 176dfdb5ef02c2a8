//! Hard bytes: very long lines, many parts, line ends that are not CR LF, bytes that are no UTF-8.

/// Name, and the bytes as they are sent.
pub fn messages() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| all.push((name.to_owned(), bytes));
    let long = "long word ".repeat(2_000);
    add("a subject of 20,000 bytes", format!("Subject: {long}\r\n\r\nx\r\n").into());
    add(
        "a folded subject of 20,000 bytes",
        format!("Subject: {}\r\n\r\nx\r\n", long.replace("d ", "d\r\n ")).into(),
    );
    add("a body line of 100,000 bytes", format!("Subject: s\r\n\r\n{}\r\n", "x".repeat(100_000)).into());
    let many: Vec<String> = (0..500).map(|n| format!("N{n} <a{n}@a.test>")).collect();
    add("500 recipients", format!("To: {}\r\n\r\nx\r\n", many.join(",\r\n ")).into());
    let references: Vec<String> = (0..200).map(|n| format!("<{n}@r>")).collect();
    add(
        "200 references",
        format!("References: {}\r\nMessage-ID: <last@r>\r\n\r\nx\r\n", references.join("\r\n ")).into(),
    );
    let fields: String = (0..300).map(|n| format!("X-Field-{n}: {n}\r\n")).collect();
    add("300 fields", format!("{fields}Subject: behind them\r\n\r\nx\r\n").into());
    let parts: String = (0..60).map(|n| format!("--b\r\nContent-ID: <{n}@t>\r\n\r\npart {n}\r\n")).collect();
    add("60 parts", format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n").into());
    let deep: String =
        (0..30).map(|n| format!("Content-Type: multipart/mixed; boundary=d{n}\r\n\r\n--d{n}\r\n")).collect();
    add("30 levels", format!("{deep}\r\ninnermost\r\n").into());
    let inside = "Content-Type: message/rfc822\r\n\r\n".repeat(30);
    add("30 messages inside each other", format!("{inside}Subject: innermost\r\n\r\nx\r\n").into());
    let boundary = "b".repeat(70);
    add("a boundary of 70 bytes", format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n\r\none\r\n--{boundary}--\r\n").into());
    add(
        "LF alone",
        b"Subject: lf\nFrom: a@a.test\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n"
            .to_vec(),
    );
    add("LF and CR LF mixed", b"Subject: mixed\nFrom: a@a.test\r\n folded\n\r\none\ntwo\r\nthree\n".to_vec());
    add("CR alone in a body", b"Subject: cr\r\n\r\none\rtwo\r\rthree\r\n\r".to_vec());
    add("CR before CR LF", b"Subject: cr cr lf\r\n\r\none\r\r\ntwo\r\r\r\n".to_vec());
    add(
        "latin-1 bytes",
        b"MIME-Version: 1.0\r\nSubject: \xc4pfel\r\nFrom: J\xfcrgen <a@a.test>\r\nContent-Description: \xe4\r\n\r\n\xe4\xff\r\n"
            .to_vec(),
    );
    add("bytes cut out of UTF-8", b"Subject: \xc3\r\nFrom: \"\xe2\x82\" <a@a.test>\r\n\r\n\xc3\r\n".to_vec());
    add(
        "latin-1 text without a charset",
        b"Content-Type: text/plain\r\n\r\n\xc4pfel und Birnen\r\n".to_vec(),
    );
    add(
        "boundary in 8 bit",
        b"Content-Type: multipart/mixed; boundary=\"\xe4\"\r\n\r\n--\xe4\r\n\r\none\r\n--\xe4--\r\n".to_vec(),
    );
    all
}
