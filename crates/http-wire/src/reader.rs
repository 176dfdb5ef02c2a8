//! From lines and bytes to requests: what is to be read next, until head and body are whole.
//!
//! Whoever has the connection reads what [`Step`] says and hands it in. Where the pieces were split on their way does not
//! matter, since lines and counts of bytes are made of them before.

use crate::head::{Framing, Head, parse};
use crate::{Bad, chunked};

/// Bytes of a head at most.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a line of it at most: the request line is the longest.
pub const LINE_BYTES_MAX: usize = crate::target::BYTES_MAX + 200;
/// Bytes of a chunk's line, or a trailer.
pub const CHUNK_LINE_BYTES_MAX: usize = 1024;
/// Trailers at most.
const TRAILERS_MAX: u32 = 32;
/// Empty lines before a request that are passed over (RFC 9112 §2.2).
const EMPTY_LINES_MAX: u32 = 4;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Another line.
    Line,
    /// The head is whole; [`Reader::body`] says what is to be read behind it.
    Head(Box<Head>),
    /// So many bytes of the body, not zero.
    Content(u64),
    /// The request is whole.
    End,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// A length that was said.
    Body(u64),
    ChunkSize,
    Chunk,
    /// The line end behind a chunk.
    ChunkEnd,
    Trailers(u32),
}

/// One request being read.
#[derive(Debug, Default)]
pub struct Reader {
    head: Vec<u8>,
    state: State,
    empty_lines: u32,
}

impl Reader {
    /// Whether nothing of a request was read.
    pub fn is_idle(&self) -> bool {
        self.state == State::Head && self.head.is_empty()
    }

    /// Longest line that may come.
    pub fn line_limit(&self) -> usize {
        if self.state == State::Head { LINE_BYTES_MAX } else { CHUNK_LINE_BYTES_MAX }
    }

    /// A line was longer than [`Reader::line_limit`].
    pub fn line_too_long(&self) -> Bad {
        match self.state {
            State::Head if self.head.is_empty() => Bad::LongTarget,
            State::Head => Bad::LongHead,
            _ => Bad::Syntax("a chunk has no proper size"),
        }
    }

    /// A line, without its CR LF.
    ///
    /// # Errors
    /// See [`Bad`]; nothing more can be read then.
    pub fn line(&mut self, line: &[u8], bare_lf: bool) -> Result<Step, Bad> {
        if bare_lf {
            return Err(Bad::Syntax("a line does not end in CR LF, or a NUL is in it"));
        }
        match self.state {
            State::Head => self.head_line(line),
            State::ChunkSize => match chunked::size(line)? {
                0 => {
                    self.state = State::Trailers(0);
                    Ok(Step::Line)
                }
                size => {
                    self.state = State::Chunk;
                    Ok(Step::Content(size))
                }
            },
            State::ChunkEnd if line.is_empty() => {
                self.state = State::ChunkSize;
                Ok(Step::Line)
            }
            State::Trailers(_) if line.is_empty() => Ok(self.end()),
            State::Trailers(count) if count < TRAILERS_MAX => {
                chunked::trailer(line)?;
                self.state = State::Trailers(count + 1);
                Ok(Step::Line)
            }
            State::Trailers(_) => Err(Bad::LongHead),
            State::ChunkEnd | State::Body(_) | State::Chunk => {
                Err(Bad::Syntax("a chunk is longer than it says"))
            }
        }
    }

    fn head_line(&mut self, line: &[u8]) -> Result<Step, Bad> {
        if self.head.is_empty() && line.is_empty() {
            self.empty_lines += 1;
            return if self.empty_lines > EMPTY_LINES_MAX {
                Err(Bad::Syntax("there is no request"))
            } else {
                Ok(Step::Line)
            };
        }
        if self.head.len() + line.len() + 4 > HEAD_BYTES_MAX {
            return Err(Bad::LongHead);
        }
        self.head.extend_from_slice(line);
        self.head.extend_from_slice(b"\r\n");
        if !line.is_empty() {
            return Ok(Step::Line);
        }
        let head = parse(&self.head)?;
        self.state = match head.framing {
            Framing::None => State::Body(0),
            Framing::Length(length) => State::Body(length),
            Framing::Chunked => State::ChunkSize,
        };
        Ok(Step::Head(Box::new(head)))
    }

    /// The head as it came, until the body begins.
    pub fn raw_head(&self) -> &[u8] {
        &self.head
    }

    /// What is to be read behind the head.
    pub fn body(&mut self) -> Step {
        self.head = Vec::new();
        match self.state {
            State::Body(0) => self.end(),
            State::Body(length) => Step::Content(length),
            _ => Step::Line,
        }
    }

    /// All bytes of a [`Step::Content`] were read.
    pub fn content_read(&mut self) -> Step {
        match self.state {
            State::Chunk => {
                self.state = State::ChunkEnd;
                Step::Line
            }
            _ => self.end(),
        }
    }

    fn end(&mut self) -> Step {
        *self = Reader::default();
        Step::End
    }
}

/// All requests in `bytes`, each with its body, as a connection would read them; for tests and fuzzing.
///
/// # Errors
/// What is wrong behind them.
pub fn requests(mut bytes: &[u8]) -> (Vec<(Head, Vec<u8>)>, Option<Bad>) {
    let mut reader = Reader::default();
    let (mut found, mut head, mut body) = (Vec::new(), None, Vec::new());
    let mut step = Step::Line;
    loop {
        step = match step {
            Step::Line => {
                let Some(at) = memchr::memchr(b'\n', bytes) else { return (found, None) };
                let (line, bare_lf) = match bytes[..at].strip_suffix(b"\r") {
                    Some(line) => (line, false),
                    None => (&bytes[..at], true),
                };
                bytes = &bytes[at + 1..];
                if line.len() > reader.line_limit() {
                    return (found, Some(reader.line_too_long()));
                }
                match reader.line(line, bare_lf) {
                    Ok(step) => step,
                    Err(bad) => return (found, Some(bad)),
                }
            }
            Step::Head(whole) => {
                head = Some(*whole);
                reader.body()
            }
            Step::Content(count) => {
                let Some(count) = usize::try_from(count).ok().filter(|count| *count <= bytes.len()) else {
                    return (found, None);
                };
                body.extend_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                reader.content_read()
            }
            Step::End => {
                found.extend(head.take().map(|head| (head, std::mem::take(&mut body))));
                Step::Line
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIPELINE: &[u8] = b"POST /one HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n\r\nPOST /two HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /three HTTP/1.1\r\nHost: h\r\n\r\n";

    #[test]
    fn requests_behind_each_other_are_read_in_order() {
        let (found, bad) = requests(PIPELINE);
        let seen: Vec<_> = found.iter().map(|(head, body)| (head.target.path.as_str(), &body[..])).collect();
        assert_eq!(seen, [("/one", &b"hello!"[..]), ("/two", b"abc"), ("/three", b"")]);
        assert_eq!(bad, None);
    }

    #[test]
    fn chunks_that_lie_are_refused() {
        for body in [
            "5\r\nhelloX\r\n0\r\n\r\n",
            "5\r\nhell\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "x\r\n",
            "0\r\nGET / HTTP/1.1\r\n\r\n",
            "0\r\n X: folded\r\n\r\n",
        ] {
            let text = format!(
                "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
            );
            let (found, bad) = requests(text.as_bytes());
            assert!(found.is_empty() && bad.is_some(), "{body:?}: {found:?}");
        }
        let many = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}\r\n",
            "X: y\r\n".repeat(100)
        );
        assert_eq!(requests(many.as_bytes()).1, Some(Bad::LongHead));
    }

    #[test]
    fn heads_have_an_end() {
        let long =
            format!("GET / HTTP/1.1\r\nHost: h\r\n{}", format!("X: {}\r\n", "y".repeat(4000)).repeat(9));
        assert_eq!(requests(long.as_bytes()).1, Some(Bad::LongHead));
        let long = format!("GET /{} HTTP/1.1\r\n", "y".repeat(9000));
        assert_eq!(requests(long.as_bytes()).1, Some(Bad::LongTarget));
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n", "y".repeat(9000));
        assert_eq!(requests(long.as_bytes()).1, Some(Bad::LongHead));
        assert!(requests(b"\r\n\r\n\r\n\r\n\r\n\r\n").1.is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            requests(&bytes);
        }

        /// One changed byte: the requests before it are the same, and no body swallows or sheds a request unseen.
        #[test]
        fn a_changed_byte_never_adds_a_request(at in 0..PIPELINE.len(), byte: u8) {
            let mut bytes = PIPELINE.to_vec();
            bytes[at] = byte;
            prop_assert!(requests(&bytes).0.len() <= 3);
        }

        /// What stands in a body is no request, whatever it looks like.
        #[test]
        fn a_body_is_never_a_request(body in "(GET /x HTTP/1.1\r\nHost: h\r\n\r\n|0\r\n\r\n|[ -~]|\r\n){0,20}") {
            let text = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let (found, bad) = requests(text.as_bytes());
            prop_assert_eq!((found.len(), bad), (1, None));
            prop_assert_eq!(&found[0].1, body.as_bytes());
            let chunked = format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
                if body.is_empty() { String::new() } else { format!("{:x}\r\n{body}\r\n", body.len()) });
            let (found, bad) = requests(chunked.as_bytes());
            prop_assert_eq!((found.len(), bad), (1, None));
            prop_assert_eq!(&found[0].1, body.as_bytes());
        }
    }
}
