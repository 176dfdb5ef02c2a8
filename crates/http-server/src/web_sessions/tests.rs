use super::*;

const HOUR: Lifetime = Lifetime { idle: Duration::from_secs(3600), most: Duration::from_secs(86_400) };

struct Place {
    _folder: tempfile::TempDir,
    sessions: WebSessions,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let sessions = WebSessions::open(folder.path()).unwrap();
    Place { _folder: folder, sessions }
}

fn passwords(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

impl Place {
    fn begin(&self, uid: &str) -> (String, WebSession) {
        self.sessions
            .begin(uid, "192.0.2.1".parse().unwrap(), "Browser\n1", &passwords("hash"), 3, HOUR)
            .unwrap()
    }

    fn age(&self, session: &WebSession, seconds: i64) {
        let path = self.sessions.root.join(user_key(&session.record.uid)).join(&session.id);
        File::open(path).unwrap().set_modified(at(base::clock::unix_seconds() - seconds)).unwrap();
    }
}

#[test]
fn a_session_is_found_by_its_cookie_and_by_nothing_else() {
    let place = place();
    let (cookie, begun) = place.begin("joe");
    let found = place.sessions.find(&cookie, HOUR).unwrap();
    assert_eq!((found.record.clone(), found.token.clone()), (begun.record, begun.token));
    assert_eq!((found.record.uid.as_str(), found.record.agent.as_str()), ("joe", "Browser1"));
    let (other, _) = place.begin("ann");
    let (user, secret) = cookie.split_once('.').unwrap();
    let (other_user, _) = other.split_once('.').unwrap();
    for wrong in [
        "",
        ".",
        user,
        secret,
        &format!("{other_user}.{secret}"),
        &format!("{user}.{}", &secret[1..]),
        &format!("{user}.{secret}A"),
        &format!("../{user}.{secret}"),
        &format!("{}.{secret}", "../".repeat(11)),
        &format!("{user}.{}", begun.id),
        &cookie.to_uppercase(),
    ] {
        assert!(place.sessions.find(wrong, HOUR).is_none(), "{wrong}");
    }
}

#[test]
fn nothing_of_what_the_browser_has_is_on_disk() {
    let place = place();
    let (cookie, session) = place.begin("joe");
    let (user, secret) = cookie.split_once('.').unwrap();
    let folder = place.sessions.root.join(user);
    for name in names(&folder) {
        let text = fs::read_to_string(folder.join(&name)).unwrap();
        assert!(!text.contains(secret) && !name.contains(secret) && !text.contains(&session.token));
    }
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(folder.join(&session.id)).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_session_ends_after_its_time_without_a_request() {
    let place = place();
    let (cookie, session) = place.begin("joe");
    place.age(&session, 3000); // some of the hour is left, however long this takes
    let found = place.sessions.find(&cookie, HOUR).unwrap();
    place.sessions.touch(&found);
    assert!(place.sessions.find(&cookie, HOUR).unwrap().used > found.used, "its time begins anew");
    place.age(&session, 3600);
    assert!(place.sessions.find(&cookie, HOUR).is_none());
    place.age_is_gone(&session);
}

impl Place {
    fn age_is_gone(&self, session: &WebSession) {
        assert!(!self.sessions.root.join(user_key(&session.record.uid)).join(&session.id).exists());
    }
}

#[test]
fn of_too_many_the_one_that_was_not_used_for_longest_ends() {
    let place = place();
    let first: Vec<_> = (0..3).map(|_| place.begin("joe")).collect();
    place.age(&first[1].1, 100);
    place.begin("joe");
    assert!(place.sessions.find(&first[1].0, HOUR).is_none());
    assert!(place.sessions.find(&first[0].0, HOUR).is_some());
    assert_eq!(place.sessions.of_user("joe", HOUR).len(), 3);
}

#[test]
fn sessions_are_ended_one_by_one_or_all_but_one() {
    let place = place();
    let all: Vec<_> = (0..3).map(|_| place.begin("joe")).collect();
    let (ann, _) = place.begin("ann");
    assert!(!place.sessions.end("ann", &all[0].1.id).unwrap(), "it is none of hers");
    assert!(place.sessions.end("joe", &all[0].1.id).unwrap());
    assert!(!place.sessions.end("joe", &all[0].1.id).unwrap());
    assert!(!place.sessions.end("joe", "../../../etc/passwd").unwrap());
    assert!(place.sessions.find(&all[0].0, HOUR).is_none());
    assert_eq!(place.sessions.end_others("joe", Some(&all[1].1.id)).unwrap(), 1);
    assert!(place.sessions.find(&all[1].0, HOUR).is_some() && place.sessions.find(&all[2].0, HOUR).is_none());
    assert!(place.sessions.find(&ann, HOUR).is_some());
}

#[test]
fn another_password_is_noticed_and_who_changed_it_stays() {
    let place = place();
    let ((mine, session), (other, _)) = (place.begin("joe"), place.begin("joe"));
    assert!(place.sessions.has_password(&mine, &session, &passwords("hash")));
    assert!(!place.sessions.has_password(&mine, &session, &passwords("new")));
    place.sessions.password_changed(&mine, &session, &passwords("new")).unwrap();
    let session = place.sessions.find(&mine, HOUR).unwrap();
    assert!(place.sessions.has_password(&mine, &session, &passwords("new")));
    assert!(place.sessions.find(&other, HOUR).is_none());
}

#[test]
fn any_flipped_bit_makes_a_session_none() {
    let record = Record::new("joe", 5, "::1".parse().unwrap(), "x", "y".into());
    let text = record.encode();
    assert_eq!(Record::decode(&text), Some(record));
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = String::from_utf8(bytes).ok().and_then(|text| Record::decode(&text));
        assert!(changed.is_none() || changed == Record::decode(&text), "bit {bit}: {changed:?}");
    }
    for length in 0..text.len() {
        assert_eq!(Record::decode(&text[..length]), None, "{length} bytes");
    }
}

#[test]
fn deeds_are_noted_within_bounds() {
    let place = place();
    let peer: IpAddr = "192.0.2.1".parse().unwrap();
    for number in 0..1000 {
        place.sessions.note("joe", "signed-in", peer, &format!("Browser {number}\nforged line")).unwrap();
    }
    let deeds = place.sessions.deeds("joe");
    assert_eq!(deeds[0].agent, "Browser 999forged line");
    assert!(deeds.len() > 100 && deeds.len() < 600, "{}", deeds.len());
    assert!(deeds.iter().all(|deed| deed.what == "signed-in" && deed.peer == "192.0.2.1"));
    assert!(place.sessions.deeds("ann").is_empty());
}

/// A password that its owner changes leaves the own sign-in, and brings none back that was ended.
#[test]
fn a_change_of_the_password_neither_ends_nor_revives_a_sign_in() {
    let place = place();
    let (cookie, begun) = place.begin("joe");
    place.sessions.password_changed(&cookie, &begun, &passwords("new")).unwrap();
    assert!(!place.sessions.end_unchanged(&begun).unwrap(), "by what a request read before the change");
    let found = place.sessions.find(&cookie, HOUR).unwrap();
    assert!(place.sessions.has_password(&cookie, &found, &passwords("new")));
    assert_eq!(place.sessions.again(&begun).unwrap().record, found.record);
    assert!(place.sessions.end_unchanged(&found).unwrap());
    place.sessions.password_changed(&cookie, &found, &passwords("newer")).unwrap();
    assert!(place.sessions.find(&cookie, HOUR).is_none() && place.sessions.again(&found).is_none());
}

/// However often it is used.
#[test]
fn a_session_ends_when_its_longest_life_is_over() {
    let place = place();
    let (cookie, session) = place.begin("joe");
    assert!(place.sessions.find(&cookie, HOUR).is_some());
    let folder = place.sessions.root.join(user_key("joe"));
    let begun = base::clock::unix_seconds() - 86_400;
    let record = Record { begun, ..session.record.clone() };
    write_new(&folder, &session.id, &record.encode()).unwrap();
    assert!(place.sessions.find(&cookie, HOUR).is_none(), "used this second");
    assert!(!folder.join(&session.id).exists());
    let lasting = Lifetime { most: Duration::MAX, ..HOUR };
    assert_eq!(lasting.end(0, 100), 3700);
    assert_eq!(HOUR.end(1000, 86_900), 87_400);
}

/// However many networks try, and however often.
#[test]
fn strangers_wash_nothing_of_the_owners_away() {
    let place = place();
    let home: IpAddr = "192.0.2.1".parse().unwrap();
    place.sessions.note("joe", "signed-in", home, "Mine").unwrap();
    for number in 0..160u32 {
        let peer = IpAddr::from([198, 18, (number % 40) as u8, (number / 40) as u8]);
        place.sessions.note_refusal("joe", peer, "Theirs").unwrap();
    }
    let deeds = place.sessions.deeds("joe");
    assert_eq!(deeds.len(), 41, "forty networks, and what the owner did");
    assert!(
        deeds.iter().all(|deed| deed.what == "signed-in" || (deed.what == "refused" && deed.times == 4)),
        "{deeds:?}"
    );
    assert_eq!(deeds.iter().filter(|deed| deed.agent == "Mine").count(), 1);
    assert!(deeds.iter().any(|deed| deed.peer == "198.18.39.3"), "the last address of a network: {deeds:?}");
    let shown = shown(deeds, 10);
    assert_eq!(shown.len(), 10);
    assert!(
        shown.iter().any(|deed| deed.agent == "Mine"),
        "the list that is shown has a place for it: {shown:?}"
    );
    for _ in 0..30 {
        place.sessions.note("ann", "signed-in", home, "Mine").unwrap();
    }
    place.sessions.note_refusal("ann", home, "Theirs").unwrap();
    let of_ann = super::shown(place.sessions.deeds("ann"), 10);
    assert_eq!(of_ann.iter().filter(|deed| deed.what == "refused").count(), 1);
    assert_eq!(of_ann.len(), 10);
    std::fs::write(place.sessions.root.join(user_key("joe")).join("refusals"), b"\xff\nnonsense\n1 x y z\n")
        .unwrap();
    place.sessions.note_refusal("joe", home, "Theirs").unwrap();
    assert_eq!(place.sessions.deeds("joe").len(), 2, "damage is dropped");
}
