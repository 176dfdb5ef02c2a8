//! What becomes of an input by chance.

/// Bytes of an input.
const BYTES_MAX: usize = 4096;
/// Pieces that mean something to some parser.
pub const PIECES: [&str; 40] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    "\"",
    "\\",
    "(",
    ")",
    "<",
    ">",
    "{",
    "}",
    "[",
    "]",
    "@",
    ",",
    ";",
    ":",
    "=",
    "*",
    "%",
    "&",
    "-",
    "--",
    "--b",
    "--b--",
    ".",
    "{3+}\r\n",
    "4294967296",
    "18446744073709551616",
    "=?utf-8?b?",
    "?=",
    "\u{e4}",
    "\u{1f600}",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    "Content-Type: message/rfc822\r\n\r\n",
    "NIL",
    "a*0*=",
];

/// Numbers by chance, the same for the same seed.
pub struct Numbers(pub u64);

impl Numbers {
    /// A number below the limit; 0 when that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit.max(1) as u64) as usize
    }
}

/// An input with one to six changes: parts that go, come twice, come from elsewhere; bits that turn.
pub fn mutated(numbers: &mut Numbers, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + numbers.below(6) {
        let (at, to) = (numbers.below(bytes.len() + 1), numbers.below(bytes.len() + 1));
        let (at, to) = (at.min(to), at.max(to));
        match numbers.below(6) {
            0 => drop(bytes.drain(at..to)),
            1 => drop(bytes.splice(at..at, PIECES[numbers.below(PIECES.len())].bytes())),
            2 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            3 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let cut = numbers.below(other.len() + 1);
                bytes.splice(at..to, other[cut..].iter().copied());
            }
            _ => bytes.truncate(to),
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}
