//! EmailSubmission (RFC 8621 §7) with a stand-in for smtpd: what is sent, taken back, interrupted, refused.

use super::*;

type Answers = Arc<Mutex<Vec<(&'static str, String)>>>;

type Act = Box<dyn FnOnce() + Send>;

/// What smtpd was told, and what it says to lines that begin so; 250 otherwise.
struct Smtpd {
    said: Arc<Mutex<Vec<String>>>,
    answers: Answers,
    /// What happens, once, before it answers the end of data.
    before_end: Arc<Mutex<Option<Act>>>,
}

impl Smtpd {
    fn start(site: &Site) -> Smtpd {
        let listener = UnixListener::bind(site.folder.path().join("run/submission")).unwrap();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let answers: Answers = Arc::default();
        let smtpd = Smtpd { said: said.clone(), answers: answers.clone(), before_end: Arc::default() };
        let before_end = smtpd.before_end.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let _ = reader.get_mut().write_all(b"220 hello\r\n");
                let mut in_data = false;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        break;
                    }
                    let line = line.trim_end().to_owned();
                    said.lock().unwrap().push(line.clone());
                    if in_data && line != "." {
                        continue;
                    }
                    in_data = line == "DATA";
                    if let Some(act) = before_end.lock().unwrap().take_if(|_| line == ".") {
                        act();
                    }
                    let scripted = answers
                        .lock()
                        .unwrap()
                        .iter()
                        .find(|(to, _)| line.starts_with(to))
                        .map(|(_, a)| a.clone());
                    let usual = match line.as_str() {
                        "DATA" => "354 go on".to_owned(),
                        "." => "250 2.0.0 Q1 accepted".to_owned(),
                        _ => "250 2.0.0 OK".to_owned(),
                    };
                    let answer = scripted.unwrap_or(usual);
                    if answer.is_empty()
                        || line == "QUIT"
                        || reader.get_mut().write_all(format!("{answer}\r\n").as_bytes()).is_err()
                    {
                        break; // it dies
                    }
                }
            }
        });
        smtpd
    }

    fn answer(&self, to: &'static str, with: &str) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(other, _)| *other != to);
        answers.push((to, with.to_owned()));
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().drain(..).collect()
    }

    fn count(&self, line: &str) -> usize {
        self.said.lock().unwrap().iter().filter(|said| *said == line).count()
    }
}

const MESSAGE: &str = "From: Joe <joe@example.com>\r\nTo: Amy Smith <amy@example.com>\r\nBcc: hidden@example.com\r\nSubject: x\r\n\
    Message-ID: <1@x>\r\n\r\n.dot\r\n";

fn in_an_hour() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let hour = utc(now + 3600);
    format!("250 2.0.0 Q1 accepted, held until {hour}")
}

/// `UTCDate` of a second.
fn utc(second: u64) -> String {
    let days = i64::try_from(second / 86_400).unwrap();
    let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
    // Days to a date: the civil calendar, from 0000-03-01 on.
    let z = days + 719_468;
    let era = z / 146_097;
    let of_era = z - era * 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn create(site: &Site, jmap: &Jmap, object: Value) -> Value {
    let mut object = object;
    if object.get("identityId").is_none() {
        object["identityId"] = json!(site.identity());
    }
    site.call_to(jmap, "EmailSubmission/set", json!({ "create": { "s": object } }))
}

#[test]
fn a_message_is_given_to_smtpd_as_its_user_and_without_bcc() {
    let site = Site::new();
    let smtpd = Smtpd::start(&site);
    smtpd.answer(".", &in_an_hour());
    let email = site.add(MESSAGE);
    let done = create(
        &site,
        &site.jmap,
        json!({ "emailId": email, "envelope": {
        "mailFrom": { "email": "joe@example.com", "parameters": { "HOLDFOR": "3600" } },
        "rcptTo": [{ "email": "amy@example.com" }, { "email": "hidden@example.com", "parameters": { "NOTIFY": "NEVER" } }],
    } }),
    );
    let made = &done["created"]["s"];
    assert_eq!(made["undoStatus"], "pending", "{done}");
    let id = made["id"].as_str().unwrap();
    let said = smtpd.said();
    assert!(said.contains(&"XCLIENT LOGIN=joe".to_owned()));
    let mail = said.iter().find(|line| line.starts_with("MAIL")).unwrap();
    assert_eq!(*mail, format!("MAIL FROM:<joe@example.com> BODY=8BITMIME ENVID={id} HOLDFOR=3600"));
    assert!(said.contains(&"RCPT TO:<hidden@example.com> NOTIFY=NEVER".to_owned()), "{said:?}");
    assert!(
        said.contains(&"..dot".to_owned()) && !said.iter().any(|line| line.starts_with("Bcc")),
        "{said:?}"
    );
    let got = site.call("EmailSubmission/get", json!({ "ids": [id] }))["list"][0].clone();
    assert_eq!((&got["emailId"], &got["undoStatus"]), (&json!(email), &json!("pending")));
    // Other properties of it are fixed, another user's are not there.
    let fixed =
        site.call("EmailSubmission/set", json!({ "update": { id: { "sendAt": "2000-01-01T00:00:00Z" } } }));
    assert_eq!(fixed["notUpdated"][id]["type"], "invalidProperties");
    // Who was written to is proposed.
    let people = site.call("Recipient/query", json!({ "text": "AMY" }))["list"].clone();
    assert_eq!(people, json!([{ "name": "Amy Smith", "email": "amy@example.com", "source": "own" }]));
    assert_eq!(site.call("Recipient/query", json!({ "text": "*" }))["list"], json!([]));
    let of_directory = site.call("Recipient/query", json!({ "text": "joe" }))["list"].clone();
    assert_eq!(of_directory[0]["source"], "directory");
    // Taken back: smtpd does it, or it is told that it is too late.
    smtpd.answer("XHELD", "250 2.0.0 queued");
    smtpd.answer("XUNDO", "554 5.5.1 too late");
    let cancel = |id: &str| {
        site.call("EmailSubmission/set", json!({ "update": { id: { "undoStatus": "canceled" } } }))
    };
    assert_eq!(cancel(id)["notUpdated"][id]["type"], "cannotUnsend");
    assert_eq!(site.call("EmailSubmission/get", json!({ "ids": [id] }))["list"][0]["undoStatus"], "final");
}

#[test]
fn what_is_taken_back_is_canceled_once_smtpd_says_so() {
    let site = Site::new();
    let smtpd = Smtpd::start(&site);
    smtpd.answer(".", &in_an_hour());
    let email = site.add(MESSAGE);
    let held = json!({ "emailId": email, "envelope": { "mailFrom": { "email": "joe@example.com", "parameters": { "HOLDFOR": "3600" } },
        "rcptTo": [{ "email": "amy@example.com" }] } });
    let before = site.call("EmailSubmission/get", json!({ "ids": null }))["state"].clone();
    let made = create(&site, &site.jmap, held.clone());
    let id = made["created"]["s"]["id"].as_str().unwrap().to_owned();
    // smtpd dies before its answer: nothing is claimed.
    smtpd.answer("XUNDO", "");
    let cancel = || {
        site.call("EmailSubmission/set", json!({ "update": { id.as_str(): { "undoStatus": "canceled" } } }))
    };
    assert_eq!(cancel()["notUpdated"][&id]["type"], "serverUnavailable");
    // It had done it: gone before its time, and it was this that asked.
    smtpd.answer("XUNDO", "550 5.1.1 none");
    smtpd.answer("XHELD", "550 5.1.1 none");
    assert!(cancel()["updated"].get(&id).is_some());
    assert_eq!(site.call("EmailSubmission/get", json!({ "ids": [id] }))["list"][0]["undoStatus"], "canceled");
    assert_eq!(cancel()["updated"].get(&id), Some(&Value::Null), "it is so already");
    let changes = site.call("EmailSubmission/changes", json!({ "sinceState": before }));
    assert_eq!(changes["created"], json!([id]));
    let query = json!({ "filter": { "undoStatus": "canceled", "emailIds": [email] }, "sort": [{ "property": "sentAt" }] });
    assert_eq!(site.call("EmailSubmission/query", query)["ids"], json!([id]));
    let gone = site.call("EmailSubmission/set", json!({ "destroy": [id] }));
    assert_eq!(gone["destroyed"], json!([id]));
    assert_eq!(site.call("EmailSubmission/get", json!({ "ids": [id] }))["notFound"], json!([id]));
}

/// The client's second attempt after smtpd, or this process, died: the message goes once.
#[test]
fn an_attempt_that_was_interrupted_is_not_repeated_blindly() {
    let site = Site::new();
    let smtpd = Smtpd::start(&site);
    let email = site.add(MESSAGE);
    let held = |seconds: &str| {
        json!({ "emailId": email, "envelope": {
        "mailFrom": { "email": "joe@example.com", "parameters": { "HOLDFOR": seconds } },
        "rcptTo": [{ "email": "amy@example.com" }] } })
    };
    // Killed behind the end of data: it may have it.
    smtpd.answer(".", "");
    let failed = create(&site, &site.jmap, held("3600"));
    assert_eq!(failed["notCreated"]["s"]["type"], "serverUnavailable", "{failed}");
    assert_eq!(site.call("EmailSubmission/get", json!({ "ids": null }))["list"], json!([]), "it is none yet");
    // It is at it still: nothing is known, and nothing sent.
    smtpd.answer("XHELD envid=", "451 4.3.0 being taken");
    smtpd.said();
    let failed = create(&site, &site.jmap, held("3600"));
    assert_eq!(failed["notCreated"]["s"]["type"], "serverUnavailable", "{failed}");
    assert_eq!(smtpd.count("DATA"), 0, "not again");
    // It had it: another process finds it, and sends nothing.
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 3000;
    smtpd.answer("XHELD envid=", &format!("250 2.0.0 held {until} Q7"));
    smtpd.said();
    let another = Site::another(&site.folder, &site.store, &site.directory);
    let made = create(&site, &another, held("3600"));
    assert_eq!(made["created"]["s"]["undoStatus"], "pending", "{made}");
    assert_eq!(smtpd.count("DATA"), 0, "not again");
    // The answer to that was lost: asked for again, it is the same, and it goes once.
    let again = create(&site, &site.jmap, held("3600"));
    assert_eq!(again["created"]["s"]["id"], made["created"]["s"]["id"], "{again}");
    assert_eq!(smtpd.count("DATA"), 0, "not again");
    // It had another not, and its time has not come: it is sent now.
    let failed = create(&site, &site.jmap, held("3601"));
    assert_eq!(failed["notCreated"]["s"]["type"], "serverUnavailable");
    smtpd.answer("XHELD envid=", "550 5.1.1 none");
    smtpd.answer(".", &in_an_hour());
    assert_eq!(create(&site, &site.jmap, held("3601"))["created"]["s"]["undoStatus"], "pending");
    // Nobody can know: it is said, and the next attempt is the user's decision.
    smtpd.answer(".", "");
    assert_eq!(create(&site, &site.jmap, held("0"))["notCreated"]["s"]["type"], "serverUnavailable");
    assert_eq!(create(&site, &site.jmap, held("0"))["notCreated"]["s"]["type"], "forbiddenToSend");
    smtpd.answer(".", "250 2.0.0 Q9 accepted");
    let sent = create(&site, &site.jmap, held("0"));
    assert_eq!(sent["created"]["s"]["undoStatus"], "final");
    // It went just now; to others, or once taken back, it goes again.
    smtpd.said();
    assert_eq!(create(&site, &site.jmap, held("0"))["created"]["s"]["id"], sent["created"]["s"]["id"]);
    assert_eq!(smtpd.count("DATA"), 0);
    let id = made["created"]["s"]["id"].as_str().unwrap();
    site.call("EmailSubmission/set", json!({ "update": { id: { "undoStatus": "canceled" } } }));
    let mut others = held("0");
    others["envelope"]["rcptTo"][0]["email"] = json!("bob@example.com");
    for object in [held("3600"), others] {
        let known = [&sent, &made].map(|one| one["created"]["s"]["id"].clone());
        let new = create(&site, &site.jmap, object)["created"]["s"]["id"].clone();
        assert!(new.is_string() && !known.contains(&new), "{new}");
    }
    assert_eq!(smtpd.count("DATA"), 2);
    // An upload goes once, too.
    let of_email = site.call("Email/get", json!({ "ids": [email], "properties": ["blobId"] }));
    let upload = || json!({ "blobId": of_email["list"][0]["blobId"], "envelope": held("0")["envelope"] });
    let [one, again] = [(); 2].map(|()| create(&site, &site.jmap, upload())["created"]["s"]["id"].clone());
    assert!(one.is_string() && one == again, "{one} {again}");
    assert_eq!(smtpd.count("DATA"), 3);
}

/// smtpd has it, and then the disk is at fault: "nothing was sent" would have the user send it twice.
#[test]
fn what_smtpd_has_taken_is_a_success_even_if_it_cannot_be_written_down() {
    let site = Site::new();
    let smtpd = Smtpd::start(&site);
    let email = site.add(MESSAGE);
    smtpd.answer(".", &in_an_hour());
    let record = site.record();
    let (place, aside) = (record.clone(), record.with_extension("aside"));
    *smtpd.before_end.lock().unwrap() = Some(Box::new(move || {
        std::fs::rename(&place, &aside).unwrap();
        std::fs::create_dir(&place).unwrap(); // cannot be read, by root neither
    }));
    let done = create(&site, &site.jmap, json!({ "emailId": email }));
    let made = &done["created"]["s"];
    assert_eq!(made["undoStatus"], "pending", "{done}");
    // The disk is mended: the record has it still as what was being sent, and smtpd is asked.
    std::fs::remove_dir(&record).unwrap();
    std::fs::rename(record.with_extension("aside"), &record).unwrap();
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 3000;
    smtpd.answer("XHELD envid=", &format!("250 2.0.0 held {until} Q1"));
    let again = create(&site, &site.jmap, json!({ "emailId": email }));
    assert_eq!(again["created"]["s"]["id"], made["id"], "{again}");
    assert_eq!(smtpd.count("DATA"), 1, "not again");
}

#[test]
fn what_may_not_be_sent_is_refused_as_the_standard_says() {
    let site = Site::new();
    let email = site.add(MESSAGE);
    let down = create(&site, &site.jmap, json!({ "emailId": email }));
    assert_eq!(down["notCreated"]["s"]["type"], "serverUnavailable", "smtpd does not run");
    let smtpd = Smtpd::start(&site);
    let refused = |object: Value| {
        create(&site, &site.jmap, object)["notCreated"]["s"]["type"].as_str().unwrap_or("sent").to_owned()
    };
    let to = |list: Value| json!({ "mailFrom": { "email": "joe@example.com" }, "rcptTo": list });
    let amy = json!([{ "email": "amy@example.com" }]);
    for (object, kind) in [
        (json!({ "emailId": "Mnone" }), "invalidProperties"),
        (json!({}), "invalidProperties"),
        (json!({ "emailId": email, "identityId": "none" }), "invalidProperties"),
        (json!({ "emailId": email, "undoStatus": "final" }), "invalidProperties"),
        (json!({ "emailId": email, "envelope": to(json!([])) }), "noRecipients"),
        (
            json!({ "emailId": email, "envelope": to(json!([{ "email": "no address" }])) }),
            "invalidRecipients",
        ),
        (
            json!({ "emailId": email, "envelope": to(json!([{ "email": "a@b.c>\r\nDATA" }])) }),
            "invalidRecipients",
        ),
        (
            json!({ "emailId": email, "envelope": { "mailFrom": { "email": "amy@example.com" }, "rcptTo": amy } }),
            "forbiddenMailFrom",
        ),
        (
            json!({ "emailId": email, "envelope": { "mailFrom": { "email": "joe@example.com", "parameters": { "AUTH": "x" } }, "rcptTo": amy } }),
            "invalidProperties",
        ),
    ] {
        assert_eq!(refused(object.clone()), kind, "{object}");
    }
    for (message, kind) in [
        ("From: amy@example.com\r\nTo: amy@example.com\r\nMessage-ID: <2@x>\r\n\r\nx\r\n", "forbiddenFrom"),
        ("From: joe@example.com, amy@example.com\r\nMessage-ID: <3@x>\r\n\r\nx\r\n", "invalidEmail"),
        ("To: amy@example.com\r\nMessage-ID: <4@x>\r\n\r\nx\r\n", "invalidEmail"),
        (
            "From: joe@example.com\r\nSender: amy@example.com\r\nMessage-ID: <5@x>\r\n\r\nx\r\n",
            "forbiddenFrom",
        ),
        (
            "Resent-From: amy@example.com\r\nFrom: joe@example.com\r\nMessage-ID: <6@x>\r\n\r\nx\r\n",
            "forbiddenFrom",
        ),
    ] {
        let id = site.add(message);
        assert_eq!(refused(json!({ "emailId": id, "envelope": to(amy.clone()) })), kind, "{message}");
    }
    assert_eq!(smtpd.count("DATA"), 0);
    for (to_line, with, kind) in [
        ("RCPT", "550 5.1.1 No such user here", "invalidRecipients"),
        ("RCPT", "452 4.5.3 Too many recipients", "tooManyRecipients"),
        ("RCPT", "451 4.3.0 later", "rateLimit"),
        ("MAIL", "552 5.3.4 too big", "tooLarge"),
        ("MAIL", "553 5.7.1 not yours", "forbiddenMailFrom"),
        ("MAIL", "501 5.5.4 too far ahead", "invalidProperties"),
        ("MAIL", "450 4.7.1 too fast", "rateLimit"),
        (".", "554 5.7.1 a filter says no", "invalidEmail"),
    ] {
        smtpd.answers.lock().unwrap().clear();
        smtpd.answer(to_line, with);
        assert_eq!(refused(json!({ "emailId": email })), kind, "{with}");
        assert_eq!(
            site.call("EmailSubmission/get", json!({ "ids": null }))["list"].as_array().unwrap().len(),
            0,
            "{with}"
        );
    }
    // What others wrote is passed on by whom the first Resent-From names (RFC 5322 §3.6.6).
    smtpd.answers.lock().unwrap().clear();
    let passed_on =
        "Resent-From: joe@example.com\r\nResent-From: amy@example.com\r\nFrom: eve@example.org\r\n";
    let id = site.add(&format!("{passed_on}Message-ID: <7@x>\r\n\r\nx\r\n"));
    assert_eq!(refused(json!({ "emailId": id, "envelope": to(amy.clone()) })), "sent");
}
