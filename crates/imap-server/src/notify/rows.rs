//! LIST responses that nobody asked for (RFC 5465 §5.4, §5.5; RFC 5258).

use connection::Output;
use imap_wire::mailbox::Naming;
use message_store::{MailboxName, Rights};

use crate::answer;
use crate::commands::list::has_seen_children;
use crate::names::Who;
use crate::refusal::Refusal;
use crate::server::Server;

/// What is told about one name.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    attributes: String,
    name: String,
    /// The name before, as the client said it.
    pub old_name: Option<String>,
}

/// How the name stands now.
pub fn look(server: &Server, who: Who<'_>, name: &MailboxName, is_subscribed: bool) -> Result<Row, Refusal> {
    let store = &server.store;
    let rights = server.rights(who, name)?;
    let listed = store.list(name.as_str(), None, 1)?.into_iter().next();
    let listed = listed.filter(|one| one.name == *name && rights.contains(Rights::LOOKUP));
    let mut attributes: Vec<&str> = Vec::new();
    match &listed {
        Some(listed) => {
            let has_children = has_seen_children(server, who, Some(listed))?;
            attributes.push(if has_children { "\\HasChildren" } else { "\\HasNoChildren" });
            if !listed.selectable {
                attributes.push("\\Noselect");
            }
            if !rights.contains(Rights::READ) {
                attributes.push("\\NoAccess"); // RFC 5465 §3.1
            }
            let special_use = listed.special_use.filter(|_| who.has_all(name));
            attributes.extend(special_use.map(|special_use| special_use.attribute()));
        }
        None => attributes.push("\\NonExistent"),
    }
    if is_subscribed {
        attributes.push("\\Subscribed");
    }
    let name = who.to_client(name);
    Ok(Row { attributes: attributes.join(" "), name, old_name: None })
}

impl Row {
    /// `* LIST () "/" "New" ("OLDNAME" ("Old"))`
    pub fn tell(&self, naming: Naming, out: &mut Output) {
        out.push(b"* LIST (");
        out.push(self.attributes.as_bytes());
        out.push(b") \"/\" ");
        answer::name(out, &self.name, naming);
        if let Some(old) = &self.old_name {
            answer::old_name(out, old, naming);
        }
        out.push(b"\r\n");
    }
}
