//! JMAP over a store in a temporary folder.
#![allow(dead_code, clippy::unwrap_used)] // each test program uses its part

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use directory::{Authenticator, Directory, Entry, Found, LogIns};
use jmap::{Jmap, Parts, Who};
use message_store::{Flags, MailboxName, NewMessage, Store, StoreLog, StoreSettings};
use serde_json::{Value, json};
use server_config::{Config, Instance};
use server_log::Log;
use tempfile::TempDir;

struct People;

impl Directory for People {
    fn by_address(&self, address: &str) -> directory::Result<Found> {
        self.by_uid(address.split('@').next().unwrap_or_default())
    }

    fn by_uid(&self, uid: &str) -> directory::Result<Found> {
        Ok(Found::One(entry(uid)))
    }

    fn check_password(&self, _entry: &Entry, _password: &str) -> directory::Result<bool> {
        Ok(false)
    }

    fn check_nobody(&self, _password: &str) {}

    fn users(&self, _after: Option<&str>, _limit: usize) -> directory::Result<Vec<Arc<Entry>>> {
        Ok(Vec::new())
    }
}

fn entry(uid: &str) -> Arc<Entry> {
    let values =
        [("objectclass", "nsMessagingServerUser"), ("uid", uid), ("mail", &format!("{uid}@example.com"))];
    let attributes: BTreeMap<String, Vec<String>> =
        values.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
    Arc::new(Entry::from_attributes(&format!("uid={uid}"), attributes).unwrap())
}

pub struct Site {
    pub jmap: Jmap,
    pub store: Store,
    pub folder: TempDir,
}

impl Site {
    pub fn new() -> Site {
        Site::in_folder(tempfile::tempdir().unwrap())
    }

    /// Another process over what is there, as it were.
    pub fn in_folder(folder: TempDir) -> Site {
        let store = Store::open(StoreSettings::in_folder(folder.path()), StoreLog::discard()).unwrap();
        let jmap = Site::another(&folder, &store);
        Site { jmap, store, folder }
    }

    pub fn another(folder: &TempDir, store: &Store) -> Jmap {
        let config = Config::from_text("local.hostname = mail.example.com\n").unwrap();
        let (directory, instance) = (Arc::new(People), Instance::new(folder.path()));
        let authenticator = Authenticator::new(directory.clone(), &config);
        let log_ins = Arc::new(LogIns::new(authenticator, &config, &instance, &Log::discard()).unwrap());
        let parts = Parts {
            store: store.clone(),
            directory,
            log_ins,
            config: Arc::new(config),
            instance,
            log: Log::discard(),
        };
        Jmap::new(&parts).unwrap()
    }

    pub fn who(uid: &str) -> Who {
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Who { uid: uid.to_owned(), entry: entry(uid), peer, session: "test".into() }
    }

    /// Puts a message into joe's mailbox of this name; `INBOX` is there.
    pub fn add(&self, mailbox: &str, message: &str) -> u32 {
        self.add_as(mailbox, message, Flags::NONE, &[], 1_000_000_000_000_000_000)
    }

    pub fn add_as(&self, mailbox: &str, message: &str, flags: Flags, keywords: &[&str], nanos: i64) -> u32 {
        let mailbox = self.mailbox(mailbox);
        let mut incoming = mailbox.begin_append().unwrap();
        incoming.write_all(message.as_bytes()).unwrap();
        let keywords = keywords.iter().map(|keyword| (*keyword).to_owned()).collect();
        incoming.finish(NewMessage { flags, keywords, internal_date_ns: nanos }).unwrap().uid
    }

    /// joe's mailbox, made when it is not there.
    pub fn mailbox(&self, name: &str) -> Arc<message_store::Mailbox> {
        self.store.ensure_user("joe").unwrap();
        let name = MailboxName::parse(&format!("user/joe/{name}")).unwrap();
        if !self.store.exists(&name).unwrap() {
            self.store.create(&name, None).unwrap();
        }
        self.store.open_mailbox(&name).unwrap()
    }

    pub fn mailbox_id(&self, name: &str) -> String {
        jmap::ids::mailbox(self.mailbox(name).id())
    }

    /// The response of joe's request.
    pub fn request(&self, calls: Value) -> Value {
        self.request_by("joe", calls)
    }

    pub fn request_by(&self, uid: &str, calls: Value) -> Value {
        let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
        let body = json!({ "using": using, "methodCalls": calls }).to_string();
        serde_json::from_slice(&self.jmap.request(&Site::who(uid), body.as_bytes()).unwrap()).unwrap()
    }

    /// The arguments of the only response to one of joe's method calls; `accountId` is set.
    pub fn call(&self, name: &str, mut arguments: Value) -> Value {
        arguments["accountId"] = json!("joe");
        let response = self.request(json!([[name, arguments, "c"]]));
        let responses = response["methodResponses"].as_array().unwrap();
        assert_eq!(responses[0][0], name, "{response}");
        responses[0][1].clone()
    }

    /// The type of the error that a call is refused with.
    pub fn error(&self, name: &str, mut arguments: Value) -> String {
        if arguments.get("accountId").is_none() {
            arguments["accountId"] = json!("joe");
        }
        let response = self.request(json!([[name, arguments, "c"]]));
        assert_eq!(response["methodResponses"][0][0], "error", "{response}");
        response["methodResponses"][0][1]["type"].as_str().unwrap().to_owned()
    }

    pub fn upload(&self, bytes: &[u8]) -> String {
        let mut upload = self.jmap.upload(&Site::who("joe"), "joe", "application/octet-stream").unwrap();
        upload.write_all(bytes).unwrap();
        upload.finish().unwrap()["blobId"].as_str().unwrap().to_owned()
    }

    pub fn download(&self, blob: &str) -> Option<Vec<u8>> {
        let blob = self.jmap.download(&Site::who("joe"), "joe", blob).ok()?;
        let size = blob.size;
        let bytes = blob.read(u64::MAX).unwrap().unwrap();
        assert_eq!(bytes.len() as u64, size);
        Some(bytes)
    }

    pub fn ids(&self, query: Value) -> Vec<String> {
        strings(&self.call("Email/query", query)["ids"])
    }
}

pub fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// A short message.
pub fn message(number: u32, subject: &str) -> String {
    format!(
        "From: Amy <amy@example.com>\r\nTo: joe@example.com\r\nSubject: {subject}\r\nMessage-ID: <{number}@example.com>\r\n\
         Date: Mon, 28 Feb 2000 10:00:00 -0800\r\n\r\nText {number} of {subject}.\r\n"
    )
}
