//! cmd.msc: mailboxes and messages are changed, and the session ended.
//!
//! ```text
//! cmd=logout                          as the web mail's: meExpungeOnExit counts
//! cmd=create&mbox=                    a mailbox; of `a/b` a must be there
//! cmd=delete&mbox=                    the mailbox, with what is in it
//! cmd=rename&mbox=&new=               its last name
//! cmd=delete|copy|move&uid=&tobox=    a message; delete without tobox: into Trash, from there for good
//! cmd=flag|unflag&uid=&flag=          seen, flagged, answered, draft
//! cmd=expunge                         every message that is marked deleted
//! ```

use jmap::Who;
use serde_json::{Value, json};

use super::{answer, ask_one, asker, folders, mailbox_named, refused, word, wrong};
use crate::session::Desk;
use crate::{Request, Response, routes};

const FLAGS: [&str; 4] = ["seen", "flagged", "answered", "draft"];

pub fn run(desk: &Desk, request: &Request) -> Response {
    obeyed(desk, request).unwrap_or_else(|refusal| refusal)
}

fn obeyed(desk: &Desk, request: &Request) -> Result<Response, Response> {
    let who = asker(request)?;
    let (command, uid) = (word(request, "cmd").unwrap_or_default(), word(request, "uid"));
    match (command.as_str(), uid) {
        ("logout", _) => return Ok(routes::auth::sign_out(desk, request)),
        ("create", None) => create(desk, &who, &named(request, "mbox")?)?,
        ("delete", None) => {
            let mailbox = mailbox_named(desk, &who, &named(request, "mbox")?)?;
            let arguments = json!({ "destroy": [mailbox["id"]], "onDestroyRemoveEmails": true });
            done(ask_one(desk, &who, "Mailbox/set", arguments)?)?;
        }
        ("rename", None) => {
            let mailbox = mailbox_named(desk, &who, &named(request, "mbox")?)?;
            let new = named(request, "new")?;
            let name = new.rsplit('/').next().unwrap_or_default();
            let id = mailbox["id"].as_str().unwrap_or_default();
            done(ask_one(desk, &who, "Mailbox/set", json!({ "update": { id: { "name": name } } }))?)?;
        }
        ("expunge", _) => desk.jmap.expunge(&who).map_err(|why| {
            desk.log.warning(server_log::Category::Store, format_args!("{}: not expunged: {why}", who.uid));
            refused(503, &json!({ "type": "serverFail" }))
        })?,
        ("delete" | "copy" | "move", Some(uid)) => carry(desk, request, &who, &command, &uid)?,
        ("flag" | "unflag", Some(uid)) => {
            let flag = named(request, "flag")?.to_ascii_lowercase();
            if !FLAGS.contains(&flag.as_str()) {
                return Err(wrong("a flag is seen, flagged, answered or draft"));
            }
            let value = if command == "flag" { json!(true) } else { Value::Null };
            change(desk, &who, &uid, json!({ format!("keywords/${flag}"): value }))?;
        }
        _ => return Err(wrong("no such command, or something is missing")),
    }
    Ok(answer(&[("done", json!(command))], None))
}

fn named(request: &Request, name: &str) -> Result<String, Response> {
    word(request, name).ok_or_else(|| wrong(&format!("{name} is missing")))
}

fn create(desk: &Desk, who: &Who, path: &str) -> Result<(), Response> {
    let (parent, name) = match path.rsplit_once('/') {
        Some((above, name)) => (mailbox_named(desk, who, above)?["id"].clone(), name),
        None => (Value::Null, path),
    };
    let new = json!({ "create": { "new": { "name": name, "parentId": parent, "isSubscribed": true } } });
    done(ask_one(desk, who, "Mailbox/set", new)?)
}

fn carry(desk: &Desk, request: &Request, who: &Who, command: &str, uid: &str) -> Result<(), Response> {
    let to = word(request, "tobox").map(|name| mailbox_named(desk, who, &name)).transpose()?;
    let trash = || Ok(folders::all(desk, who)?.into_iter().find(|one| one["role"] == "trash"));
    let to = match (command, to) {
        ("delete", None) => trash()?,
        (_, Some(to)) => Some(to),
        (_, None) => return Err(wrong("tobox is missing")),
    };
    let got = ask_one(desk, who, "Email/get", json!({ "ids": [uid], "properties": ["mailboxIds"] }))?;
    let now = got["list"][0]["mailboxIds"].as_object().cloned().unwrap_or_default();
    let Some(id) = to.as_ref().and_then(|to| to["id"].as_str()) else {
        return done(ask_one(desk, who, "Email/set", json!({ "destroy": [uid] }))?);
    };
    if command == "delete" && now.contains_key(id) {
        return done(ask_one(desk, who, "Email/set", json!({ "destroy": [uid] }))?);
    }
    let patch = match command {
        "copy" => json!({ format!("mailboxIds/{id}"): true }),
        _ => json!({ "mailboxIds": { id: true } }),
    };
    change(desk, who, uid, patch)
}

fn change(desk: &Desk, who: &Who, uid: &str, patch: Value) -> Result<(), Response> {
    done(ask_one(desk, who, "Email/set", json!({ "update": { uid: patch } }))?)
}

/// Whether a /set did what it was to do.
fn done(answer: Value) -> Result<(), Response> {
    let failed = ["notCreated", "notUpdated", "notDestroyed"].iter().find_map(|name| {
        let map = answer[*name].as_object()?;
        map.values().next().cloned()
    });
    match failed {
        None => Ok(()),
        Some(error) => Err(refused(if error["type"] == "notFound" { 404 } else { 400 }, &error)),
    }
}
