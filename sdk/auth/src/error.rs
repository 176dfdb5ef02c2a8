//! Why nobody was logged in.

use std::fmt;
use std::io;

/// What kind of failure it is. The numbers are those of the C header, and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    Ok = 0,
    /// An argument makes no sense.
    Argument = 1,
    /// There is no connection.
    Unreachable = 2,
    /// TLS is not to be had, or the certificate is not the server's.
    Tls = 3,
    /// The server does not accept the credential. Over POP also whatever else it does not permit: it does not say which.
    Refused = 4,
    /// Not an administrator, or not from this host, or the user is an administrator.
    NotPermitted = 5,
    NoSuchUser = 6,
    /// The user may not use this service.
    NotAllowed = 7,
    /// The server cannot do it now: try again later.
    Unavailable = 8,
    /// The server says what makes no sense.
    Protocol = 9,
    TimedOut = 10,
    /// The server closed the connection.
    Closed = 11,
    /// An error of this library.
    Internal = 12,
}

impl Status {
    pub const ALL: [Status; 13] = [
        Status::Ok,
        Status::Argument,
        Status::Unreachable,
        Status::Tls,
        Status::Refused,
        Status::NotPermitted,
        Status::NoSuchUser,
        Status::NotAllowed,
        Status::Unavailable,
        Status::Protocol,
        Status::TimedOut,
        Status::Closed,
        Status::Internal,
    ];

    /// A sentence's beginning, ended by a NUL for C.
    pub(crate) fn c_text(self) -> &'static std::ffi::CStr {
        match self {
            Status::Ok => c"success",
            Status::Argument => c"an argument makes no sense",
            Status::Unreachable => c"the server cannot be reached",
            Status::Tls => c"there is no verified TLS with the server",
            Status::Refused => c"the server refuses the credential",
            Status::NotPermitted => c"the server does not permit to act for this user from here",
            Status::NoSuchUser => c"there is no such user",
            Status::NotAllowed => c"the user may not use this service",
            Status::Unavailable => c"the server cannot do it now",
            Status::Protocol => c"the server says what makes no sense",
            Status::TimedOut => c"the server does not answer in time",
            Status::Closed => c"the server closed the connection",
            Status::Internal => c"an error of the library",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.c_text().to_str().unwrap_or_default())
    }
}

/// A failure. Its text is one line without control characters, and has no password in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub status: Status,
    detail: String,
}

pub type Result<T> = std::result::Result<T, Error>;

/// Characters of what a server says that are shown.
const DETAIL_CHARS_MAX: usize = 300;

impl Error {
    pub(crate) fn new(status: Status, detail: &str) -> Error {
        let printable = |c: char| {
            if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                '?'
            } else {
                c
            }
        };
        Error { status, detail: detail.chars().take(DETAIL_CHARS_MAX).map(printable).collect() }
    }

    pub(crate) fn argument(detail: &str) -> Error {
        Error::new(Status::Argument, detail)
    }

    pub(crate) fn protocol(detail: &str) -> Error {
        Error::new(Status::Protocol, detail)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            return self.status.fmt(f);
        }
        write!(f, "{}: {}", self.status, self.detail)
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(why: io::Error) -> Error {
        let status = match why.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Status::TimedOut,
            _ => Status::Closed,
        };
        Error::new(status, &why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_short_line() {
        let error = Error::new(Status::Refused, &format!("a\r\n\u{1b}[31mb\u{202e}{}", "x".repeat(1000)));
        let text = error.to_string();
        assert!(text.starts_with("the server refuses the credential: a???[31mb?x"), "{text}");
        assert!(text.len() < 400 && !text.chars().any(char::is_control));
        assert_eq!(Error::new(Status::TimedOut, "").to_string(), "the server does not answer in time");
    }

    #[test]
    fn numbers_are_places() {
        for (place, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, place);
        }
    }
}
