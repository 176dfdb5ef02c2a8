//! What users change of their own entries: the same in the embedded directory and in a real LDAP server, and nothing but
//! what is named.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../../../tests/src/loopback.rs"]
mod loopback;
#[path = "../../../tests/src/slapd.rs"]
#[allow(dead_code)]
mod slapd;

use std::collections::BTreeMap;
use std::sync::Arc;

use directory::ldap::Settings;
use directory::password::Schemes;
use directory::{ChangeError, Directory, Edit, Embedded, Entry, Found, LdapDirectory, preferences};
use server_config::{Config, Instance};
use server_log::Log;

use slapd::{BASE, BIND_DN, BIND_SECRET, Slapd};

/// The password is `alice-secret`.
const ENTRIES: &str = "version: 1

dn: o=example.test
objectClass: top
objectClass: organization
o: example.test

dn: uid=alice,o=example.test
objectClass: top
objectClass: person
objectClass: organizationalPerson
objectClass: inetOrgPerson
objectClass: mailRecipient
objectClass: nsMessagingServerUser
uid: alice
cn: Alice Smith
sn: Smith
mail: alice@example.test
mailDeliveryOption: mailbox
nswmExtendedUserPrefs: otherKey=left alone
nswmExtendedUserPrefs: meSignature=old
nswmExtendedUserPrefs;lang-ja: meSignature=ja
userPassword: {SHA}KusvaLb24DJ0ziPMVrqjntyCRkM=

dn: uid=bob,o=example.test
objectClass: top
objectClass: person
objectClass: organizationalPerson
objectClass: inetOrgPerson
objectClass: mailRecipient
uid: bob
cn: Bob*(Star)
sn: Jones
mail: bob@example.test

";

fn settings(slapd: &Slapd) -> Settings {
    let text = format!(
        "local.ugldaphost = \"{}\"\nlocal.ugldapuselocal = yes\nlocal.ugldapbasedn = \"{BASE}\"\n\
         local.ugldapbinddn = \"{BIND_DN}\"\nlocal.ugldapbindcred = {BIND_SECRET}\n",
        slapd.host()
    );
    let config = Config::from_text(&text).unwrap();
    Settings::from_config(&config, &Instance::new("/nonexistent")).unwrap().unwrap()
}

/// Each kind of directory, with the entries above.
fn in_each(check: impl Fn(&str, &dyn Directory)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.ldif");
    std::fs::write(&path, ENTRIES).unwrap();
    check("embedded", &Embedded::open(&path, Log::discard()).unwrap());
    let slapd = Slapd::start(ENTRIES);
    check("LDAP", &LdapDirectory::open(settings(&slapd), Log::discard()).unwrap());
}

fn alice(directory: &dyn Directory) -> Arc<Entry> {
    match directory.by_uid("alice").unwrap() {
        Found::One(entry) => entry,
        other => panic!("{other:?}"),
    }
}

/// Values in any order: LDAP has none.
fn attributes(entry: &Entry) -> BTreeMap<String, Vec<String>> {
    let mut all = entry.attributes.clone();
    all.values_mut().for_each(|values| values.sort());
    all
}

#[test]
fn one_value_is_written_and_nothing_else_is_touched() {
    in_each(|kind, directory| {
        let mut expected = attributes(&alice(directory));
        let set = |key, lang, value| preferences::set(directory, "alice", key, lang, value).unwrap();
        set("meViewSize", None, Some("30"));
        set("meSignature", None, Some("Alice$Überlingen"));
        set("meSignature", Some("de"), Some("Grüße"));
        set("meSignature", Some("ja"), None);
        expected.insert(
            "nswmextendeduserprefs".into(),
            ["meSignature=Alice$Überlingen", "meViewSize=30", "otherKey=left alone"]
                .map(str::to_owned)
                .into(),
        );
        expected.insert("nswmextendeduserprefs;lang-de".into(), vec!["meSignature=Grüße".into()]);
        expected.remove("nswmextendeduserprefs;lang-ja");
        assert_eq!(attributes(&alice(directory)), expected, "{kind}");
        // Case alone is another value.
        set("meSignature", None, Some("ALICE$Überlingen"));
        assert_eq!(
            preferences::value(&alice(directory), "mesignature").unwrap(),
            "ALICE$Überlingen",
            "{kind}"
        );
    });
}

#[test]
fn who_decides_from_an_old_entry_is_told_so() {
    in_each(|kind, directory| {
        let old = alice(directory);
        let swap = |remove: &str, add: &str| Edit::Swap {
            attribute: "nswmExtendedUserPrefs".into(),
            remove: vec![remove.into()],
            add: vec![add.into()],
        };
        directory.change(&old, &[swap("meSignature=old", "meSignature=new")]).unwrap();
        let before = attributes(&alice(directory));
        let stale = directory.change(&old, &[swap("meSignature=old", "meSignature=newer")]);
        assert_eq!(stale, Err(ChangeError::Stale), "{kind}");
        // All of it or nothing.
        let half = [Edit::replace("preferredLanguage", vec!["fr".into()]), swap("meSignature=old", "x=y")];
        assert_eq!(directory.change(&old, &half), Err(ChangeError::Stale), "{kind}");
        assert_eq!(attributes(&alice(directory)), before, "{kind}");
        // Not users' to change.
        let quota = directory.change(&old, &[Edit::replace("mailQuota", vec!["0".into()])]);
        assert!(matches!(quota, Err(ChangeError::Refused(_))), "{kind}: {quota:?}");
    });
}

/// The attributes that autoreply-handler and account-handler go by, with their languages (S126).
#[test]
fn vacation_and_forwarding_are_written_as_the_mta_reads_them() {
    in_each(|kind, directory| {
        let edits = [
            Edit::replace("mailAutoReplyMode", vec!["vacation".into()]),
            Edit::replace("mailAutoReplyText;lang-ja", vec!["不在です。$アリス".into()]),
            Edit::replace("vacationStartDate", vec!["20261129000000Z".into()]),
            Edit::replace("mailForwardingAddress", vec!["a@b.example".into(), "c@d.example".into()]),
            Edit::replace("mailDeliveryOption", Vec::new()),
            Edit::replace("vacationEndDate", Vec::new()),
        ];
        directory.change(&alice(directory), &edits).unwrap();
        let entry = alice(directory);
        assert_eq!(entry.attributes["mailautoreplytext;lang-ja"], ["不在です。$アリス"], "{kind}");
        assert_eq!(entry.attributes["vacationstartdate"], ["20261129000000Z"]);
        let mut forward = entry.forward.clone();
        forward.sort();
        assert_eq!(forward, ["a@b.example", "c@d.example"], "{kind}");
        assert!(!entry.delivery.mailbox, "{kind}");
    });
}

#[test]
fn a_password_is_changed_by_who_knows_the_present_one() {
    let schemes = Schemes::from_config(&Config::empty());
    in_each(|kind, directory| {
        let before = attributes(&alice(directory));
        let change =
            |present: &str, new: &str| directory.change_password(&alice(directory), present, new, &schemes);
        assert_eq!(change("wrong", "new-secret-1"), Err(ChangeError::WrongPassword), "{kind}");
        assert_eq!(change("", "new-secret-1"), Err(ChangeError::WrongPassword), "{kind}");
        assert!(directory.check_password(&alice(directory), "alice-secret").unwrap(), "{kind}");
        change("alice-secret", "new-secret-1").unwrap();
        assert!(!directory.check_password(&alice(directory), "alice-secret").unwrap(), "{kind}");
        assert!(directory.check_password(&alice(directory), "new-secret-1").unwrap(), "{kind}");
        assert_eq!(attributes(&alice(directory)), before, "{kind}");
    });
}

/// What is typed is never a filter, and never more than was asked for.
#[test]
fn people_are_found_by_how_their_names_begin() {
    in_each(|kind, directory| {
        let found = |text: &str, limit| {
            let entries = directory.beginning_with(text, limit).unwrap();
            let mut mails: Vec<String> = entries.iter().map(|entry| entry.mail.clone()).collect();
            mails.sort();
            mails
        };
        assert_eq!(found("ALI", 5), ["alice@example.test"], "{kind}");
        assert_eq!(found("smi", 5), ["alice@example.test"], "{kind}");
        assert_eq!(found("bob@ex", 5), ["bob@example.test"], "{kind}");
        assert_eq!(found("Bob*(", 5), ["bob@example.test"], "{kind}");
        for text in ["", "*", "lice", "a*)(uid=*", ")(", "\\2a"] {
            assert!(found(text, 5).is_empty(), "{kind}: {text}");
        }
        assert!(found("a", 0).is_empty());
    });
}
