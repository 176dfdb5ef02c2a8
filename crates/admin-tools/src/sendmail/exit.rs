//! Exit statuses of sysexits(3), which callers of sendmail know.

pub const OK: u8 = 0;
/// The command line was wrong.
pub const USAGE: u8 = 64;
/// The message or an address was wrong.
pub const DATAERR: u8 = 65;
/// The input could not be read.
pub const NOINPUT: u8 = 66;
/// There is no such user.
pub const NOUSER: u8 = 67;
/// The host to submit to has no address.
pub const NOHOST: u8 = 68;
/// The service refuses.
pub const UNAVAILABLE: u8 = 69;
/// Input or output failed.
pub const IOERR: u8 = 74;
/// It may work later.
pub const TEMPFAIL: u8 = 75;
/// The other side does not speak SMTP.
pub const PROTOCOL: u8 = 76;
/// Not allowed.
pub const NOPERM: u8 = 77;
/// The configuration is wrong.
pub const CONFIG: u8 = 78;

/// Why sendmail did not do what it was asked: one line and the exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: u8,
    pub text: String,
}

impl Failure {
    pub fn new(code: u8, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into() }
    }
}
