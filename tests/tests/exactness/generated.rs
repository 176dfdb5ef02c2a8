//! Messages that are put together from pieces by chance.

/// `MAILBOAT_SEED`, or always the same.
pub fn seed() -> u64 {
    std::env::var("MAILBOAT_SEED").map_or(1, |text| text.parse().unwrap())
}

/// Numbers by chance, the same for the same seed.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit as u64) as usize
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }
}

/// Addresses of the standard; what is none is in headers.rs.
const ADDRESSES: [&str; 14] = [
    "a@a.test",
    "B <b@b.test>",
    "\"C, D\" <c@c.test>",
    "<d@d.test>",
    "e@e.test (E)",
    "G: g@g.test;",
    "H:;",
    "<@r:x@x.test>",
    "=?utf-8?q?=C3=A4?= <i@i.test>",
    "J\n K <j@j.test>",
    "l@[1.2.3.4]",
    "\"m n\"@m.test",
    "O (c) P <o@o.test>",
    "Q: r@r.test, S <s@s.test>;",
];
const TYPES: [&str; 11] = [
    "text/plain",
    "text/html; charset=utf-8",
    "multipart/mixed; boundary=x",
    "multipart/alternative; boundary=\"xy\"",
    "multipart/digest; boundary=x",
    "message/rfc822",
    "image/png; name=\"a b\"",
    "application/x; a=b; c=\"d\\\"e\"",
    "multipart/mixed; boundary=z;\n x=y",
    "message/delivery-status",
    "TEXT/PLAIN; Format=Flowed",
];
const LINES: &[&str] = &[
    "--x",
    "--xy",
    "--z",
    "--x--",
    "--xy--",
    "--z--",
    "",
    "--",
    "--x ",
    "--x-",
    "X-Inner: inner",
    "more text",
    ".",
];

/// Their names are their places.
pub fn messages(seed: u64, count: usize) -> Vec<(String, Vec<u8>)> {
    let mut numbers = Numbers(seed);
    (0..count)
        .map(|place| (place.to_string(), message(&mut numbers).replace('\n', "\r\n").into_bytes()))
        .collect()
}

fn message(numbers: &mut Numbers) -> String {
    let mut text = header(numbers);
    for _ in 0..numbers.below(25) {
        match numbers.below(5) {
            0 => text.push_str(&header(numbers)),
            _ => {
                text.push_str(numbers.one_of(LINES));
                text.push('\n');
            }
        }
    }
    if numbers.below(4) == 0 {
        text.pop();
    }
    text
}

/// No field stands twice, and MIME-Version is there: see argued.rs.
fn header(numbers: &mut Numbers) -> String {
    let mut text = String::from("MIME-Version: 1.0\n");
    let mut names: Vec<String> = Vec::new();
    for _ in 0..numbers.below(5) {
        let field = match numbers.below(6) {
            0 | 1 => {
                let name = numbers.one_of(&["From", "To", "Cc", "Sender", "Reply-To"]);
                let value: Vec<&str> = (0..numbers.below(4)).map(|_| numbers.one_of(&ADDRESSES)).collect();
                format!("{name}: {}", value.join(", "))
            }
            2 | 3 => format!("Content-Type: {}", numbers.one_of(&TYPES)),
            4 => numbers
                .one_of(&[
                    "Content-Transfer-Encoding: base64",
                    "Content-Disposition: attachment; filename=a",
                    "Content-ID: <1@t>",
                    "Content-Language: en, de",
                    "Content-Description: d\n e",
                ])
                .to_owned(),
            _ => numbers
                .one_of(&[
                    "Subject: s",
                    "Message-ID: <1@t>",
                    "In-Reply-To: <2@t>\n <3@t>",
                    "Date: Mon, 3 Mar 2025 10:00:00 +0000",
                    "no field",
                    "Subject:",
                ])
                .to_owned(),
        };
        let name = field.split(':').next().unwrap_or_default().to_owned();
        if !names.contains(&name) {
            text.push_str(&field);
            text.push('\n');
            names.push(name);
        }
    }
    text.push('\n');
    text
}
