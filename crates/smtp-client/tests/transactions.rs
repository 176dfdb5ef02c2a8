//! Envelopes, their answers, and sessions that are used again.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use black_box::{Act, Step, StubMta};
use common::{Message, SHORT, SOON, message, open, send, settings, small, text, try_open, words};
use smtp_client::{OutRecipient, Outcome, Outgoing, Ret, Settings, Timeouts};

/// Sessions are kept for the next message, by whichever thread has it.
const _: fn() = || {
    fn goes_to_another_thread<T: Send>() {}
    goes_to_another_thread::<smtp_client::Session>();
};

const B: &[&str] = &["b@y.example"];
const THREE: &[&str] = &["b@y.example", "c@y.example", "d@y.example"];

#[test]
fn mail_rcpt_and_data_fly_together_when_the_peer_takes_pipelining() {
    // It answers MAIL only when it has seen DATA.
    let stub = StubMta::new().on(Step::Mail, &[Act::Await("DATA\r\n".into()), Act::say("250 ok")]).start();
    let transaction = send(&mut open(&stub), &small(), THREE);
    assert_eq!((words(&transaction), transaction.reusable), (vec!["ok".to_owned(); 3], true));
    let received = &stub.wait_for(1)[0];
    assert_eq!(received.rcpts.len(), 3);
    assert_eq!(received.text(), "Subject: small\r\n\r\nbody\r\n", "from the relay offset on");
    let Outcome::Delivered(reply) = &transaction.recipients[0] else { panic!("{transaction:?}") };
    assert_eq!(reply.to_string(), "250 2.0.0 taken");
}

#[test]
fn without_pipelining_each_command_waits_for_the_answer_before() {
    let stub = StubMta::new().offers(&["8BITMIME"]).start();
    assert_eq!(words(&send(&mut open(&stub), &small(), THREE)), ["ok"; 3]);
    assert_eq!(stub.seen().ahead_max, 0);
}

#[test]
fn a_flight_has_at_most_a_hundred_recipients() {
    let addresses: Vec<String> = (0..250).map(|n| format!("r{n}@y.example")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let stub = StubMta::new()
        .on(Step::Mail, &[Act::Await("<r99@y.example>\r\n".into()), Act::say("250 ok")])
        .on_text(Step::Rcpt, "<r200@", &[Act::Await("DATA\r\n".into()), Act::say("250 ok")])
        .start();
    let transaction = send(&mut open(&stub), &small(), &addresses);
    assert!(words(&transaction).iter().all(|word| word == "ok"));
    assert_eq!(stub.seen().ahead_max, 100, "MAIL was answered when 100 RCPTs had come");
    assert_eq!(stub.wait_for(1)[0].rcpts.len(), 250);
}

#[test]
fn each_recipient_has_the_answer_that_is_its_own() {
    let stub = StubMta::new()
        .on_text(Step::Rcpt, "<b@", &[Act::say("550 5.1.1 no such user")])
        .on_text(Step::Rcpt, "<d@", &[Act::say("450 busy")])
        .start();
    let transaction = send(&mut open(&stub), &small(), THREE);
    assert_eq!(words(&transaction), ["failed 5.1.1", "ok", "later 4.2.0"]);
    let expected =
        format!("mx.example.test[127.0.0.1]:{} said: 550 5.1.1 no such user", stub.address().port());
    assert_eq!(text(&transaction), expected);
    assert_eq!(stub.wait_for(1)[0].rcpts, ["RCPT TO:<c@y.example>"]);
}

/// RFC 2920 §3.1: a peer may answer the DATA that flew along with 354 although it took nobody.
#[test]
fn a_transaction_without_recipients_is_ended_and_the_next_begins_anew() {
    let nobody = || StubMta::new().once(Step::Rcpt, &[Act::say("550 5.1.1 no such user")]);
    let polite = nobody().start();
    let hasty = nobody()
        .once(Step::Data, &[Act::say("354 go ahead")])
        .once(Step::Content, &[Act::say("554 5.5.1 nobody")])
        .start();
    for stub in [polite, hasty] {
        let mut session = open(&stub);
        let first = send(&mut session, &small(), B);
        assert_eq!((words(&first), first.reusable), (vec!["failed 5.1.1".to_owned()], true));
        assert_eq!(words(&send(&mut session, &small(), B)), ["ok"]);
        assert_eq!(stub.seen().received.len(), 1, "nothing was sent to nobody");
        assert!(stub.seen().commands.iter().any(|line| line == "RSET"));
    }
}

#[test]
fn a_refusal_of_mail_is_everybodys() {
    let stub = StubMta::new().once(Step::Mail, &[Act::say("451 4.7.1 greylisted")]).start();
    let mut session = open(&stub);
    let first = send(&mut session, &small(), THREE);
    assert_eq!((words(&first), first.reusable), (vec!["later 4.7.1".to_owned(); 3], true));
    assert_eq!(words(&send(&mut session, &small(), B)), ["ok"]);
}

/// It refuses MAIL, takes RCPT and DATA all the same: a dot would send nothing to somebody.
#[test]
fn a_confused_peer_gets_no_empty_message() {
    let answers = Act::Raw(b"550 no\r\n250 yes\r\n354 go ahead\r\n".to_vec());
    let stub = StubMta::new().on(Step::Mail, &[Act::Await("DATA\r\n".into()), answers]).start();
    let transaction = send(&mut open(&stub), &small(), B);
    assert_eq!((words(&transaction), transaction.reusable), (vec!["failed 5.2.0".to_owned()], false));
    assert_eq!(stub.wait_until("the end", |seen| seen.open == 0).received.len(), 0);
}

#[test]
fn refusals_of_data_and_of_the_content_are_for_those_that_were_taken() {
    let stub = StubMta::new()
        .on_text(Step::Rcpt, "<b@", &[Act::say("550 5.1.1 no such user")])
        .once(Step::Data, &[Act::say("451 4.3.0 no")])
        .once(Step::Content, &[Act::say("554 5.6.0 virus")])
        .start();
    let mut session = open(&stub);
    for expected in
        [["failed 5.1.1", "later 4.3.0"], ["failed 5.1.1", "failed 5.6.0"], ["failed 5.1.1", "ok"]]
    {
        let transaction = send(&mut session, &small(), &["b@y.example", "c@y.example"]);
        assert_eq!((words(&transaction), transaction.reusable), (expected.map(str::to_owned).to_vec(), true));
    }
}

#[test]
fn rset_comes_only_where_the_last_transaction_went_wrong() {
    let stub = StubMta::new()
        .once(Step::Content, &[Act::say("250 taken")])
        .once(Step::Content, &[Act::say("452 full")])
        .start();
    let mut session = open(&stub);
    for _ in 0..4 {
        assert!(send(&mut session, &small(), B).reusable);
    }
    session.quit();
    let verbs: Vec<String> =
        stub.seen().commands.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let expected = "EHLO MAIL RCPT DATA MAIL RCPT DATA RSET MAIL RCPT DATA MAIL RCPT DATA QUIT";
    assert_eq!(verbs.join(" "), expected);
}

#[test]
fn a_421_ends_the_session_wherever_it_comes() {
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Content] {
        let stub = StubMta::new().on(step, &[Act::say("421 4.3.2 going down"), Act::Close]).start();
        let mut session = open(&stub);
        let transaction = send(&mut session, &small(), THREE);
        assert_eq!(
            (words(&transaction), transaction.reusable),
            (vec!["later 4.3.2".to_owned(); 3], false),
            "{step:?}"
        );
        assert!(text(&transaction).contains("421 4.3.2 going down"));
        assert!(!session.is_alive());
    }
}

#[test]
fn a_connection_lost_behind_the_dot_leaves_everybody_for_later() {
    let stub = StubMta::new().on(Step::Content, &[Act::Close]).start();
    let transaction = send(&mut open(&stub), &small(), THREE);
    assert_eq!((words(&transaction), transaction.reusable), (vec!["later 4.4.2".to_owned(); 3], false));
    assert!(text(&transaction).contains("at the final dot"), "{transaction:?}");
}

/// RFC 5321 §4.5.3.1.10
#[test]
fn who_takes_no_more_recipients_gets_the_rest_in_another_transaction() {
    for (answer, offers) in
        [("452 4.5.3 too many", &["PIPELINING"][..]), ("452 too many", &[]), ("552 too many", &[])]
    {
        let stub = StubMta::new()
            .offers(offers)
            .on_text(Step::Rcpt, "<b@", &[Act::say("250 ok")])
            .once(Step::Rcpt, &[Act::say(answer)])
            .start();
        let mut session = open(&stub);
        let transaction = send(&mut session, &small(), THREE);
        let asked = stub.seen().commands.iter().filter(|line| line.starts_with("RCPT")).count();
        match offers.is_empty() {
            true => assert_eq!(
                (words(&transaction), asked),
                (["ok", "later 4.5.3", "later 4.5.3"].map(str::to_owned).to_vec(), 2)
            ),
            false => assert_eq!(words(&transaction), ["ok", "later 4.5.3", "ok"], "the others flew already"),
        }
        assert_eq!(words(&send(&mut session, &small(), &THREE[1..])), ["ok", "ok"]);
    }
    let full = StubMta::new().on_text(Step::Rcpt, "<c@", &[Act::say("552 5.2.2 mailbox full")]).start();
    assert_eq!(words(&send(&mut open(&full), &small(), THREE)), ["ok", "failed 5.2.2", "ok"]);
}

/// RFC 9422
#[test]
fn limits_that_the_peer_announces_are_kept() {
    for pipelining in ["PIPELINING", "DSN"] {
        let stub = StubMta::new().offers(&[pipelining, "LIMITS RCPTMAX=2 MAILMAX=2"]).start();
        let mut session = open(&stub);
        let first = send(&mut session, &small(), THREE);
        assert_eq!(
            (words(&first), first.reusable),
            (["ok", "ok", "later 4.5.3"].map(str::to_owned).to_vec(), true)
        );
        let second = send(&mut session, &small(), &THREE[2..]);
        assert_eq!((words(&second), second.reusable), (vec!["ok".to_owned()], false));
        assert_eq!(stub.wait_for(2)[0].rcpts.len(), 2);
    }
}

#[test]
fn a_reply_that_makes_no_sense_ends_the_session_and_decides_nothing() {
    let table: &[(Step, &str)] = &[
        (Step::Mail, "354 go ahead"),
        (Step::Rcpt, "334 hm"),
        (Step::Data, "250 fine"),
        (Step::Content, "354 more"),
        (Step::Content, "hello"),
        (Step::Rcpt, "250-a\n251 b"),
    ];
    for (step, answer) in table {
        let stub = StubMta::new().on(*step, &[Act::say(answer)]).start();
        let transaction = send(&mut open(&stub), &small(), B);
        assert_eq!(
            (words(&transaction), transaction.reusable),
            (vec!["later 4.5.0".to_owned()], false),
            "{answer}"
        );
    }
}

/// Otherwise the second answer to DATA would be taken for the one to the content.
#[test]
fn an_answer_too_many_is_never_matched_to_a_later_question() {
    for (step, answers) in [(Step::Rcpt, "250 ok\n250 ok"), (Step::Data, "354 go ahead\n250 taken")] {
        let stub = StubMta::new().on(step, &[Act::say(answers)]).start();
        let transaction = send(&mut open(&stub), &small(), B);
        assert_eq!(
            (words(&transaction), transaction.reusable),
            (vec!["later 4.5.0".to_owned()], false),
            "{answers}"
        );
    }
}

#[test]
fn every_step_of_a_transaction_has_its_limit() {
    type Limit = fn(&mut Timeouts) -> &mut Duration;
    let steps: [(Step, Limit, &str); 4] = [
        (Step::Mail, |timeouts| &mut timeouts.mail, "MAIL"),
        (Step::Rcpt, |timeouts| &mut timeouts.rcpt, "RCPT"),
        (Step::Data, |timeouts| &mut timeouts.data, "DATA"),
        (Step::Content, |timeouts| &mut timeouts.data_dot, "the final dot"),
    ];
    for (step, limit, name) in steps {
        for act in [Act::Silence, Act::Drip(b"250-x\r\n".repeat(2000), Duration::from_millis(20))] {
            let stub = StubMta::new().on(step, &[act]).start();
            let mut settings = settings();
            *limit(&mut settings.timeouts) = SHORT;
            let begun = Instant::now();
            let transaction = send(&mut try_open(&stub, &settings).unwrap(), &small(), B);
            assert_eq!((words(&transaction), transaction.reusable), (vec!["later 4.4.2".to_owned()], false));
            assert!(text(&transaction).contains(&format!("time-out at {name}")), "{transaction:?}");
            assert!(begun.elapsed() < SOON, "{name}: {:?}", begun.elapsed());
        }
    }
}

#[test]
fn a_peer_that_does_not_answer_rset_is_given_up() {
    let stub = StubMta::new().on(Step::Mail, &[Act::say("451 no")]).on(Step::Reset, &[Act::Silence]).start();
    let mut settings = settings();
    settings.timeouts.rset = SHORT;
    let mut session = try_open(&stub, &settings).unwrap();
    assert!(send(&mut session, &small(), B).reusable);
    let transaction = send(&mut session, &small(), B);
    assert_eq!((words(&transaction), transaction.reusable), (vec!["later 4.4.2".to_owned()], false));
    assert!(text(&transaction).contains("RSET"), "{transaction:?}");
}

/// A hundred slow answers are no hundred limits: those that were taken get the message, the others wait.
#[test]
fn a_peer_that_is_slow_with_each_recipient_does_not_hold_the_session() {
    // Each is answered long before its limit, on a machine that stands still for a while, too.
    let slow = [Act::Wait(Duration::from_millis(800)), Act::say("250 ok")];
    let stub = StubMta::new().offers(&[]).on(Step::Rcpt, &slow).start();
    let mut settings = settings();
    settings.timeouts.rcpt = Duration::from_secs(6);
    let addresses: Vec<String> = (0..50).map(|n| format!("r{n}@y.example")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let transaction = send(&mut try_open(&stub, &settings).unwrap(), &small(), &addresses);
    let words = words(&transaction);
    let taken = words.iter().filter(|word| *word == "ok").count();
    assert!((1..=31).contains(&taken) && words[49] == "later 4.5.3", "{words:?}");
    assert_eq!(stub.wait_for(1)[0].rcpts.len(), taken);
}

#[test]
fn quit_waits_no_longer_than_its_limit() {
    let stub = StubMta::new().on(Step::Quit, &[Act::Silence]).start();
    let mut settings = settings();
    settings.timeouts.quit = SHORT;
    let begun = Instant::now();
    try_open(&stub, &settings).unwrap().quit();
    assert!((SHORT..SOON).contains(&begun.elapsed()));
}

/// RFC 1870
#[test]
fn a_message_that_is_too_big_is_not_begun() {
    let stub = StubMta::new().offers(&["SIZE 23"]).start();
    let mut session = open(&stub);
    let transaction = send(&mut session, &message(&[b'x'; 24]), B);
    assert_eq!((words(&transaction), transaction.reusable), (vec!["failed 5.3.4".to_owned()], true));
    assert_eq!(words(&send(&mut session, &message(b"12345678901234567890\r\n"), B)), ["ok"]);
    assert_eq!(stub.seen().commands[1..2], ["MAIL FROM:<a@x.example> SIZE=22"]);
}

#[test]
fn eight_bit_content_goes_only_where_it_is_taken() {
    let wide = || Message { eight_bit: true, ..message("Subject: x\r\n\r\nü\r\n".as_bytes()) };
    let able = StubMta::new().offers(&["8BITMIME"]).start();
    assert_eq!(words(&send(&mut open(&able), &wide(), B)), ["ok"]);
    assert_eq!(able.wait_for(1)[0].mail, "MAIL FROM:<a@x.example> BODY=8BITMIME");
    let narrow = StubMta::new().offers(&[]).start();
    assert_eq!(words(&send(&mut open(&narrow), &wide(), B)), ["failed 5.6.3"]);
    assert_eq!(narrow.seen().commands.len(), 1);
}

#[test]
fn what_is_asked_of_reports_travels_on() {
    let stub = StubMta::new().offers(&["DSN", "SMTPUTF8"]).start();
    let message = small();
    let recipient = OutRecipient {
        address: "jürgen@y.example",
        notify: Some("success,failure"),
        orcpt: Some("rfc822;j+2Bx@z.example"),
    };
    let transaction = open(&stub).send(&Outgoing {
        sender: None,
        recipients: &[recipient],
        envid: Some("QQ314159"),
        ret: Some(Ret::Full),
        front: b"",
        content: &message.content,
        offset: 0,
        size: message.size,
        eight_bit: false,
        utf8: true,
        require_tls: false,
    });
    assert_eq!(words(&transaction), ["ok"]);
    let received = &stub.wait_for(1)[0];
    assert_eq!(received.mail, "MAIL FROM:<> SMTPUTF8 RET=FULL ENVID=QQ314159");
    assert_eq!(
        received.rcpts,
        ["RCPT TO:<jürgen@y.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;j+2Bx@z.example"]
    );
}

/// RFC 2033 §4.2
#[test]
fn with_lmtp_each_recipient_has_an_answer_behind_the_content() {
    for offers in [&["PIPELINING"][..], &["PIPELINING", "CHUNKING"], &[]] {
        let stub = StubMta::new()
            .lmtp()
            .offers(offers)
            .on_text(Step::Content, "<c@", &[Act::say("452 4.2.2 full")])
            .on_text(Step::Rcpt, "<nobody@", &[Act::say("550 5.1.1 no such user")])
            .start();
        let settings = Settings { lmtp: true, ..settings() };
        let mut session = try_open(&stub, &settings).unwrap();
        let addresses = ["b@y.example", "nobody@y.example", "c@y.example", "d@y.example"];
        let transaction = send(&mut session, &small(), &addresses);
        assert_eq!(words(&transaction), ["ok", "failed 5.1.1", "later 4.2.2", "ok"], "{offers:?}");
        assert!(transaction.reusable);
        assert_eq!(stub.wait_for(2).len(), 2);
    }
}

#[test]
fn with_lmtp_answers_that_came_before_the_connection_broke_count() {
    let stub = StubMta::new().lmtp().on_text(Step::Content, "<c@", &[Act::Close]).start();
    let settings = Settings { lmtp: true, ..settings() };
    let transaction = send(&mut try_open(&stub, &settings).unwrap(), &small(), THREE);
    assert_eq!(words(&transaction), ["ok", "later 4.4.2", "later 4.4.2"]);
}
