//! ID: who is at the other end (RFC 2971). What a client says of itself goes to the log.

use connection::Io;
use server_log::Category;

use crate::server::Server;

/// Bytes of a client's own description that are logged.
const LOGGED_BYTES_MAX: usize = 500;

/// Says who we are. Nothing is done differently for anybody (RFC 2971 §3).
pub fn run(server: &Server, fields: &[(String, Option<String>)], io: &mut Io) {
    let mut text = String::new();
    for (name, value) in fields {
        if text.len() > LOGGED_BYTES_MAX {
            break;
        }
        text.push_str(&format!(
            " {}={}",
            base::escape(name),
            base::escape(value.as_deref().unwrap_or("NIL"))
        ));
    }
    if !text.is_empty() {
        let text: String = text.chars().take(LOGGED_BYTES_MAX).collect();
        server.log.information(Category::Protocol, format_args!("session {} client:{text}", io.number));
    }
    let version = env!("CARGO_PKG_VERSION");
    io.output.push(format!("* ID (\"name\" \"Mailboat\" \"version\" \"{version}\")\r\n").as_bytes());
}
