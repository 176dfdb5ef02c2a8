//! The replies that are not a command's own, in one place.

use mail_queue::QueueError;
use smtp_wire::Reply;

pub fn bad_sequence(text: &'static str) -> Reply {
    Reply::new(503, (5, 5, 1), text)
}

pub fn unknown() -> Reply {
    Reply::new(500, (5, 5, 2), "Command not recognized")
}

/// RFC 2033 §4.1: HELO and EHLO are unknown to LMTP.
pub fn say_lhlo() -> Reply {
    Reply::new(500, (5, 5, 1), "This is LMTP, say LHLO")
}

pub fn not_implemented() -> Reply {
    Reply::new(502, (5, 5, 1), "Command not implemented")
}

pub fn farewell(host: &str) -> Reply {
    Reply::new(221, (2, 0, 0), format!("{host} closing"))
}

/// `domainallowed`, `domainnotallowed` (RFC 7504 keeps 521 for hosts that never take mail).
pub fn no_access(host: &str) -> Reply {
    Reply::plain(554, format!("{host} No access from your address"))
}

pub fn no_access_now(host: &str) -> Reply {
    Reply::plain(421, format!("{host} The name of your address cannot be looked up now, try again later"))
}

/// `authmaildomain` (S132), or submission (RFC 6409 §4.3).
pub fn authentication_required() -> Reply {
    Reply::new(530, (5, 7, 0), "Authentication is required")
}

/// A parameter of an extension that is not offered (RFC 5321 §4.1.1.11).
pub fn no_such_parameter() -> Reply {
    Reply::new(555, (5, 5, 4), "Parameter not recognized")
}

pub fn line_too_long() -> Reply {
    Reply::new(500, (5, 5, 2), "Line too long")
}

/// RFC 5321 §2.3.8: a line ends with CR LF and nothing else.
pub fn bare_line_feed() -> Reply {
    Reply::new(500, (5, 5, 2), "Lines end with CR LF")
}

pub fn too_many_errors(host: &str) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{host} Too many bad commands, closing"))
}

/// RFC 2920 §3.1: the client does not wait for replies that it has to wait for.
pub fn too_early() -> Reply {
    Reply::new(554, (5, 5, 0), "Protocol error: more came before it was asked for")
}

pub fn too_much_idle_talk(host: &str) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{host} Too many commands without a message, closing"))
}

pub fn too_many_small_chunks(host: &str) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{host} Too many small chunks, closing"))
}

/// RFC 4954 §4.
pub fn auth_line_too_long() -> Reply {
    Reply::new(500, (5, 5, 6), "Authentication exchange line is too long")
}

pub fn idle(host: &str) -> Reply {
    Reply::new(421, (4, 4, 2), format!("{host} Idle for too long, closing"))
}

pub fn shutting_down(host: &str) -> Reply {
    Reply::new(421, (4, 3, 2), format!("{host} Service is stopping, try again later"))
}

/// RFC 3463 §3.8: X.7.1 is a matter of policy. Not 452, which asks for another transaction at once.
pub fn too_fast() -> Reply {
    Reply::new(450, (4, 7, 1), "Too much mail in a short time, try again later")
}

pub fn no_space() -> Reply {
    Reply::new(452, (4, 3, 1), "Not enough room in the queue, try again later")
}

pub fn directory_down() -> Reply {
    Reply::new(451, (4, 3, 0), "The directory does not answer, try again later")
}

pub fn too_big() -> Reply {
    Reply::new(552, (5, 3, 4), "Message is larger than this server takes")
}

pub fn header_too_big() -> Reply {
    Reply::new(552, (5, 3, 4), "Message header is larger than this server takes")
}

/// A line far beyond RFC 5321 §4.5.3.1.6.
pub fn content_line_too_long() -> Reply {
    Reply::new(554, (5, 6, 0), "Message has a line longer than this server takes")
}

/// Mail with bare line ends is how one message is made to look like two to somebody else.
pub fn bare_line_ends() -> Reply {
    Reply::new(550, (5, 6, 11), "Message has bare line feeds or carriage returns")
}

/// RFC 3030 §3, RFC 3463 §3.7.
pub fn cannot_encode() -> Reply {
    Reply::new(554, (5, 6, 3), "The binary content cannot be put into text here")
}

/// RFC 5321 §6.3.
pub fn loops() -> Reply {
    Reply::new(554, (5, 4, 6), "Too many hops: the message is in a loop")
}

/// What the queue's refusal means to the client: nothing was kept.
pub fn queue_failed(error: &QueueError) -> Reply {
    match error {
        QueueError::NoSpace => no_space(),
        _ => Reply::new(451, (4, 3, 0), "The queue cannot take the message now, try again later"),
    }
}

/// A filter wants nothing more to do with the client.
pub fn filter_hangs_up() -> Reply {
    Reply::new(421, (4, 7, 0), "Closing on behalf of a filter of this server")
}

/// An inspector broke off, or did not end in time.
pub fn not_inspected() -> Reply {
    Reply::new(451, (4, 3, 0), "The message cannot be inspected now, try again later")
}

pub fn too_much_to_inspect() -> Reply {
    Reply::new(451, (4, 3, 2), "Too many messages are being inspected, try again later")
}
