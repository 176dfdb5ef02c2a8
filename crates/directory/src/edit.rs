//! Changing the embedded directory's file: lock, read, write a new file, sync, rename. What is not touched stays to the
//! byte, comments included.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::embedded::normal_dn;
use crate::ldif::{self, Record};

/// Names and values in their order.
pub type Attributes = Vec<(String, Vec<u8>)>;

/// One change of a file.
pub enum Change<'a> {
    /// A new entry; its dn must not be there.
    Add {
        dn: &'a str,
        attributes: Attributes,
    },
    /// Other attributes for an entry that is there.
    Replace {
        dn: &'a str,
        attributes: Attributes,
    },
    Delete {
        dn: &'a str,
    },
    /// Many entries: those that are there get these attributes, the others are added.
    Merge(Vec<(String, Attributes)>),
}

/// Every record of the file.
///
/// # Errors
/// It cannot be read or is no LDIF.
pub fn read(path: &Path) -> Result<Vec<Record>, String> {
    let text = fs::read(path).map_err(|why| format!("{}: {why}", path.display()))?;
    ldif::parse(&text).map_err(|why| format!("{} {why}", path.display()))
}

/// Applies one change that is decided from what the file holds while nobody else changes it.
///
/// # Errors
/// What `decide` refuses; the file cannot be read or written, and is unchanged then.
pub fn change<'a>(
    path: &Path,
    decide: impl FnOnce(&[Record]) -> Result<Change<'a>, String>,
) -> Result<(), String> {
    let told = |why: io::Error| format!("{}: {why}", path.display());
    let lock = base::replace::lock_file(&path.with_extension("ldif.lock")).map_err(told)?;
    #[allow(clippy::incompatible_msrv)]
    lock.lock().map_err(told)?;
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(why) if why.kind() == io::ErrorKind::NotFound => "version: 1\n".to_owned(),
        Err(why) => return Err(told(why)),
    };
    let records = ldif::parse(text.as_bytes()).map_err(|why| format!("{} {why}", path.display()))?;
    let place = |dn: &str| records.iter().position(|record| normal_dn(&record.dn) == normal_dn(dn));
    let new = match decide(&records)? {
        Change::Add { dn, attributes } => {
            if place(dn).is_some() {
                return Err(format!("{dn} is there already"));
            }
            format!("{text}{}{}", apart(&text), ldif::write(dn, &attributes))
        }
        Change::Replace { dn, attributes } => {
            let at = place(dn).ok_or_else(|| format!("there is no {dn}"))?;
            splice(&text, &records[at], &ldif::write(&records[at].dn, &attributes))
        }
        Change::Delete { dn } => {
            let at = place(dn).ok_or_else(|| format!("there is no {dn}"))?;
            splice(&text, &records[at], "")
        }
        Change::Merge(entries) => merge(&text, &records, &entries),
    };
    base::replace::durable_replace(path, new.as_bytes(), 0o600).map_err(told)
}

/// Gives one entry other attributes, decided from what it has while nobody else changes it (nothing: it is not there). The rest
/// of the file is not read, and stays to the byte.
///
/// # Errors
/// As [`change`].
pub fn change_one(
    path: &Path,
    dn: &str,
    decide: impl FnOnce(Option<&Record>) -> Result<Attributes, String>,
) -> Result<(), String> {
    let told = |why: io::Error| format!("{}: {why}", path.display());
    let lock = base::replace::lock_file(&path.with_extension("ldif.lock")).map_err(told)?;
    #[allow(clippy::incompatible_msrv)]
    lock.lock().map_err(told)?;
    let text = fs::read_to_string(path).map_err(told)?;
    let dn = normal_dn(dn);
    let is_it = |chunk: &[u8]| ldif::dn_of(chunk).is_some_and(|own| normal_dn(&own) == dn);
    let Some((before, chunk)) = ldif::chunks(text.as_bytes()).find(|(_, chunk)| is_it(chunk)) else {
        return decide(None).and(Err("the entry is not there".into()));
    };
    let records = ldif::parse(chunk);
    let records =
        records.map_err(|why| format!("{} line {}: {}", path.display(), why.line + before, why.why))?;
    let attributes = decide(records.first())?;
    let record = records.first().ok_or("the entry is not there")?;
    let start = chunk.as_ptr() as usize - text.as_ptr() as usize;
    let (head, rest) = text.split_at(start);
    let (chunk, tail) = rest.split_at(chunk.len());
    let new = splice(chunk, record, &ldif::write(&record.dn, &attributes));
    base::replace::durable_replace(path, [head, &new, tail].concat().as_bytes(), 0o600).map_err(told)
}

/// What parts the end of a text from a record that is written behind it.
fn apart(text: &str) -> &'static str {
    if text.is_empty() || text.ends_with("\n\n") {
        ""
    } else if text.ends_with('\n') {
        "\n"
    } else {
        "\n\n"
    }
}

/// The text with entries replaced in their places, and new ones behind, in one pass.
fn merge(text: &str, records: &[Record], entries: &[(String, Attributes)]) -> String {
    let mut new: HashMap<String, String> = HashMap::new();
    for (dn, attributes) in entries {
        new.insert(normal_dn(dn), ldif::write(dn, attributes));
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_empty = |line: &str| line.trim_end_matches(['\r', '\n']).is_empty();
    let mut merged = String::with_capacity(text.len());
    let mut at = 0;
    for record in records {
        let Some(text) = new.remove(&normal_dn(&record.dn)) else { continue };
        let start = record.line.saturating_sub(1);
        merged.extend(lines[at..start].iter().copied());
        merged.push_str(&text);
        let length = lines[start..].iter().position(|line| is_empty(line));
        at = length.map_or(lines.len(), |length| start + length + 1);
    }
    merged.extend(lines[at..].iter().copied());
    for (dn, _) in entries {
        if let Some(text) = new.remove(&normal_dn(dn)) {
            merged.push_str(apart(&merged));
            merged.push_str(&text);
        }
    }
    merged
}

/// The text with the lines of one record, and the empty line behind it, replaced.
fn splice(text: &str, record: &Record, with: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let start = record.line.saturating_sub(1);
    let length = lines[start..].iter().position(|line| line.trim_end_matches(['\r', '\n']).is_empty());
    let end = length.map_or(lines.len(), |length| start + length + 1);
    format!("{}{with}{}", lines[..start].concat(), lines[end..].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, Vec<u8>) {
        (name.to_owned(), value.as_bytes().to_vec())
    }

    #[test]
    fn entries_are_added_replaced_and_deleted_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.ldif");
        fs::write(&path, "version: 1\n# ours\n\ndn: uid=a,o=x\nuid: a\n\n# about b\ndn: uid=b,o=x\nuid: b")
            .unwrap();
        let add =
            |dn: &'static str| change(&path, |_| Ok(Change::Add { dn, attributes: vec![pair("uid", "c")] }));
        add("uid=c,o=x").unwrap();
        assert!(add("UID=A,o=x").unwrap_err().contains("already"));
        change(&path, |records| {
            assert_eq!(records.len(), 3);
            Ok(Change::Replace {
                dn: "uid=a,o=x",
                attributes: vec![pair("uid", "a"), pair("mail", "a@x.test")],
            })
        })
        .unwrap();
        change(&path, |_| Ok(Change::Delete { dn: "uid=b,o=x" })).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "version: 1\n# ours\n\ndn: uid=a,o=x\nuid: a\nmail: a@x.test\n\n# about b\ndn: uid=c,o=x\nuid: c\n\n"
        );
        assert!(change(&path, |_| Ok(Change::Delete { dn: "uid=z,o=x" })).is_err());
    }

    #[test]
    fn many_entries_are_merged_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.ldif");
        fs::write(&path, "version: 1\n# ours\n\ndn: uid=a,o=x\nuid: a\n\n# about b\ndn: uid=b,o=x\nuid: b")
            .unwrap();
        let entry = |uid: &str| (format!("uid={uid},o=x"), vec![pair("uid", uid), pair("cn", "new")]);
        change(&path, |_| Ok(Change::Merge(["c", "B", "d"].map(entry).into()))).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "version: 1\n# ours\n\ndn: uid=a,o=x\nuid: a\n\n# about b\ndn: uid=B,o=x\nuid: B\ncn: new\n\n\
             dn: uid=c,o=x\nuid: c\ncn: new\n\ndn: uid=d,o=x\nuid: d\ncn: new\n\n"
        );
    }

    #[test]
    fn writers_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.ldif");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for n in 0..5 {
                        let dn = format!("uid=w{writer}n{n},o=x");
                        change(path, |_| Ok(Change::Add { dn: &dn, attributes: vec![pair("uid", "x")] }))
                            .unwrap();
                    }
                });
            }
        });
        assert_eq!(read(&path).unwrap().len(), 20);
    }
}
