//! CAPABILITY: what is offered in this state (RFC 3501 §6.1.1).

use connection::{Io, TlsState};

use super::compress;
use crate::server::Server;
use crate::state::State;

/// `* CAPABILITY IMAP4rev1 ...`
pub fn run(state: &State, server: &Server, io: &mut Io) {
    let line = format!("* CAPABILITY {}\r\n", list(state, server, io));
    io.output.push(line.as_bytes());
}

/// The names, with spaces between them.
pub fn list(state: &State, server: &Server, io: &Io) -> String {
    let settings = server.settings();
    let mut names = String::from(
        "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE UIDPLUS UNSELECT CHILDREN",
    );
    names.push_str(" MOVE SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE LIST-EXTENDED LIST-STATUS");
    names.push_str(" MULTIAPPEND ESEARCH SEARCHRES WITHIN CONDSTORE QRESYNC OBJECTID SAVEDATE");
    names.push_str(
        " PREVIEW BINARY REPLACE UNAUTHENTICATE UTF8=ACCEPT UIDONLY UIDBATCHES CONTEXT=SEARCH CONTEXT=SORT",
    );
    names.push_str(" MULTISEARCH LANGUAGE I18NLEVEL=1"); // RFC 7377, RFC 5255
    names.push_str(" CATENATE URL-PARTIAL"); // RFC 4469, RFC 5550 §5.7.1
    names.push_str(" ACL RIGHTS=texk LIST-MYRIGHTS"); // RFC 4314 §5.1.1, RFC 8440
    names.push_str(" QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE QUOTASET"); // RFC 9208 §3
    names.push_str(" SORT SORT=DISPLAY ESORT PARTIAL"); // RFC 5256, RFC 5957, RFC 5267, RFC 9394
    names.push_str(" SEARCH=FUZZY"); // RFC 6203
    names.push_str(" THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS");
    names.push_str(" METADATA METADATA-SERVER LIST-METADATA NOTIFY"); // RFC 5464, RFC 9590, RFC 5465
    names.push_str(" XSENDER"); // NMS: original.md 6
    if !settings.pages.is_empty() {
        names.push_str(" X-NETSCAPE XSERVERINFO");
    }
    if settings.progress_interval.is_some() {
        names.push_str(" INPROGRESS"); // RFC 9585
    }
    names.push_str(&format!(" APPENDLIMIT={}", settings.append_bytes_max)); // RFC 7889 §3
    match (settings.messages_max, settings.saved_max) {
        (Some(most), _) => names.push_str(&format!(" MESSAGELIMIT={most}")), // RFC 9738: one of the two
        (None, Some(most)) => names.push_str(&format!(" SAVELIMIT={most}")),
        (None, None) => {}
    }
    if let Some(user) = state.user() {
        if user.has_jmap && settings.jmap_url.is_some() {
            names.push_str(" JMAPACCESS"); // RFC 9698
        }
        // RFC 4467, RFC 5524; not before, for clients that look for mechanisms by the letters AUTH= only.
        names.push_str(" URLAUTH URLAUTH=BINARY");
        if compress::is_offered(&settings, io) {
            names.push_str(" COMPRESS=DEFLATE"); // RFC 4978
        }
        return names;
    }
    if io.tls == TlsState::Available {
        names.push_str(" STARTTLS");
    }
    let safety = settings.safety(io);
    for mechanism in server.log_ins.mechanisms().on(directory::Service::Imap, safety) {
        names.push_str(" AUTH=");
        names.push_str(mechanism.name());
    }
    if !safety.says_password {
        names.push_str(" LOGINDISABLED"); // RFC 3501 §6.2.3
    }
    names
}
