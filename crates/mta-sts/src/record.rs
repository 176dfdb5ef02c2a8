//! The TXT record of `_mta-sts.<domain>` (RFC 8461 §3.1): `v=STSv1; id=20160831085700Z;`.

/// Characters of an id at most.
const ID_MAX: usize = 32;

/// The id of the policy, when exactly one of the records is such a record and it is well formed.
pub(crate) fn id(records: &[Vec<u8>]) -> Option<String> {
    let mut ours = records.iter().filter(|record| record.starts_with(b"v=STSv1;"));
    let record = std::str::from_utf8(ours.next()?).ok()?;
    if ours.next().is_some() {
        return None; // §3.1: as if there were none
    }
    let fields = record.split(';').skip(1).filter_map(|field| field.split_once('='));
    let mut ids = fields.filter(|(name, _)| name.trim() == "id").map(|(_, value)| value.trim());
    let id = ids.next()?;
    let is_well_formed =
        (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_well_formed.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn one_record_of_the_version_has_an_id() {
        for (records, expected) in [
            (&["v=STSv1; id=20160831085700Z;"][..], Some("20160831085700Z")),
            (&["v=STSv1;id=a1"], Some("a1")),
            (&["v=STSv1; new=thing; id=a1; more=x"], Some("a1")),
            (&["v=spf1 -all", "v=STSv1; id=a1;"], Some("a1")),
            (&["v=STSv1; id=a1;", "v=STSv1; id=a1;"], None),
            (&["v=STSv2; id=a1;"], None),
            (&["id=a1; v=STSv1;"], None),
            (&["v=STSv1; id=;"], None),
            (&["v=STSv1; id=a-1;"], None),
            (&["v=STSv1; id=aaaaaaaaaabbbbbbbbbbccccccccccddd;"], None),
            (&["v=STSv1;"], None),
            (&[], None),
        ] {
            let records: Vec<Vec<u8>> = records.iter().map(|record| record.as_bytes().to_vec()).collect();
            assert_eq!(id(&records).as_deref(), expected, "{records:?}");
        }
    }
}
