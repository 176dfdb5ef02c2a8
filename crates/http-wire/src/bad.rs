//! Why a request cannot be understood, and the status each reason becomes. The connection ends with every one of them: where
//! the next request would begin is not certain.

use std::fmt;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// The client wrote nonsense, or something that others might read in another way.
    Syntax(&'static str),
    /// The request line is too long.
    LongTarget,
    /// The header is too long, or has too many fields.
    LongHead,
    /// More body than is taken.
    LongBody,
    /// A method that no resource here has.
    Method,
    /// A transfer coding other than chunked.
    Coding,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// An expectation other than 100-continue.
    Expectation,
}

impl Bad {
    /// RFC 9110 §15.
    pub fn status(self) -> u16 {
        match self {
            Bad::Syntax(_) => 400,
            Bad::LongBody => 413,
            Bad::LongTarget => 414,
            Bad::Expectation => 417,
            Bad::LongHead => 431, // RFC 6585 §5
            Bad::Method | Bad::Coding => 501,
            Bad::Version => 505,
        }
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bad::Syntax(why) => why,
            Bad::LongTarget => "the address is too long",
            Bad::LongHead => "the header is too long",
            Bad::LongBody => "the body is too long",
            Bad::Method => "no such method here",
            Bad::Coding => "no transfer coding but chunked",
            Bad::Version => "HTTP/1.1 is spoken here",
            Bad::Expectation => "no expectation but 100-continue",
        })
    }
}
