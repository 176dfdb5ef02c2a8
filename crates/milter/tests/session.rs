//! Sessions with scripted filters: every verdict at every stage, every way to fail, and what both cost at most.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use base::endpoint::Endpoint;
use black_box::stub_milter::{self, Answer, StubMilter};
use milter::{Change, Client, Filter, Filters, Message, OnFailure, Peer, Session, Verdict};
use server_log::Log;

fn filter(stub: &StubMilter) -> Filter {
    Filter {
        name: "test".into(),
        endpoint: Endpoint::parse(stub.address()).unwrap(),
        connect_timeout: Duration::from_secs(5),
        command_timeout: Duration::from_secs(5),
        message_timeout: Duration::from_secs(5),
        on_failure: OnFailure::TempFail,
        reuse: false,
    }
}

fn session(filters: &Filters) -> Session {
    Session::new(filters, Log::discard(), "[192.0.2.1]".into())
}

fn one(stub: &StubMilter) -> Session {
    session(&Filters::new(vec![filter(stub)]))
}

fn client() -> Client {
    let peer = Peer::Address("192.0.2.1:4321".parse().unwrap());
    Client { host: "client.example".into(), peer, helo: "helo.example".into() }
}

fn none(_: &str) -> Option<String> {
    None
}

const HEADER: &[u8] = b"From: a@x.example\r\nSubject: one\r\n two\r\n";
const BODY: &[u8] = b"hello\r\n";

fn message<'a>() -> Message<'a> {
    Message { header: HEADER, body: BODY, body_bytes_max: 1 << 20 }
}

fn code(verdict: &Verdict) -> u16 {
    match verdict {
        Verdict::Continue => 250,
        Verdict::Refuse(refusal) => refusal.code,
        Verdict::Discard => 1,
        Verdict::Disconnect => 2,
    }
}

/// MAIL, two RCPT, DATA and the message, as far as it comes; the codes of what was said.
fn whole(session: &mut Session) -> Vec<u16> {
    let mut said = vec![code(&session.mail(&client(), &[b"<a@x.example>", b"SIZE=7"], &none))];
    if said[0] == 250 {
        said.push(code(&session.rcpt(&[b"<b@y.example>"], &none)));
        said.push(code(&session.rcpt(&[b"<c@y.example>"], &none)));
        said.push(code(&session.data(&none)));
        if said[3] == 250 {
            said.push(code(&session.show(0, &message(), &none).verdict));
        }
    }
    said
}

#[test]
fn a_filter_hears_of_every_step_in_order() {
    let stub = StubMilter::new().start();
    let mut session = one(&stub);
    assert_eq!(whole(&mut session), [250; 5]);
    drop(session);
    stub.wait_for("Q");
    let expected = [
        "C|client.example|4|4321|192.0.2.1",
        "H|helo.example",
        "M|<a@x.example>|SIZE=7",
        "R|<b@y.example>",
        "R|<c@y.example>",
        "T",
        "L|From|a@x.example",
        "L|Subject|one\n two",
        "N",
        "B|hello\r\n",
        "E",
        "Q",
    ];
    assert_eq!(stub.commands(), expected);
    assert!(stub.told()[0].starts_with("O|6|1ff|301fffff"), "{:?}", stub.told()[0]);
}

#[test]
fn connection_and_name_are_told_once_and_messages_apart() {
    let stub = StubMilter::new().start();
    let mut session = one(&stub);
    whole(&mut session);
    session.mail(&client(), &[b"<left@x.example>"], &none); // and RSET
    session.mail(&Client { helo: "other.example".into(), ..client() }, &[b"<last@x.example>"], &none);
    let codes: String = stub.commands().iter().map(|line| &line[..1]).collect();
    assert_eq!(codes, "CHMRRTLLNBEMAHM");
}

#[test]
fn each_verdict_at_each_step_is_what_the_client_hears() {
    let refusal = Answer::refuse("452 4.3.1 full");
    for (answer, expected) in [
        (Answer::plain('r'), 550),
        (Answer::plain('t'), 451),
        (Answer::plain('4'), 421),
        (Answer::plain('f'), 2),
        (refusal, 452),
    ] {
        for (step, place) in
            [('C', 0), ('H', 0), ('M', 0), ('R', 1), ('T', 3), ('L', 4), ('N', 4), ('B', 4), ('E', 4)]
        {
            let stub = StubMilter::new().once(step, "", std::slice::from_ref(&answer)).start();
            let said = whole(&mut one(&stub));
            assert_eq!(said[place], expected, "{answer:?} to {step}: {said:?}");
            assert!(said[..place].iter().all(|code| *code == 250), "{answer:?} to {step}: {said:?}");
            if step == 'R' {
                assert_eq!(said, [250, expected, 250, 250, 250], "a recipient alone");
            }
        }
    }
}

#[test]
fn discarding_is_of_a_message_and_said_once() {
    for (step, expected) in [
        ('C', vec![250; 5]),
        ('H', vec![250; 5]),
        ('M', vec![1]),
        ('R', vec![250, 1, 250, 250, 250]),
        ('T', vec![250, 250, 250, 1]),
        ('B', vec![250, 250, 250, 250, 1]),
        ('E', vec![250, 250, 250, 250, 1]),
    ] {
        let stub = StubMilter::new().once(step, "", &[Answer::plain('d')]).start();
        let mut session = one(&stub);
        assert_eq!(whole(&mut session), expected, "{step}");
        assert_eq!(session.discards(), matches!(step, 'M' | 'R' | 'T'), "{step}");
        assert_eq!(whole(&mut session), [250; 5], "the next message is not concerned ({step})");
    }
}

#[test]
fn who_accepts_hears_no_more_of_the_message_or_of_the_client() {
    for (step, told) in [
        ('C', "CQ"),
        ('H', "CHQ"),
        ('M', "CHMMRRTLLNBEQ"),
        ('R', "CHMRMRRTLLNBEQ"),
        ('L', "CHMRRTLMRRTLLNBEQ"),
        ('E', "CHMRRTLLNBEMRRTLLNBEQ"),
    ] {
        let stub = StubMilter::new().once(step, "", &[Answer::plain('a')]).start();
        let mut session = one(&stub);
        assert_eq!((whole(&mut session), whole(&mut session)), (vec![250; 5], vec![250; 5]), "{step}");
        drop(session);
        stub.wait_for("Q");
        let codes: String = stub.commands().iter().map(|line| &line[..1]).collect();
        assert_eq!(codes, told, "{step}");
    }
}

#[test]
fn a_filter_that_dies_is_out_of_order_and_nothing_gets_past_it() {
    for step in ['C', 'H', 'M', 'R', 'T', 'L', 'N', 'B', 'E'] {
        for act in
            [Answer::Close, Answer::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Answer::plain('?')]
        {
            let stub = StubMilter::new().once(step, "", std::slice::from_ref(&act)).start();
            let mut session = one(&stub);
            let said = whole(&mut session);
            let first = said.iter().position(|code| *code != 250).unwrap();
            assert!(said[first..].iter().all(|code| *code == 451), "{act:?} at {step}: {said:?}");
            assert_eq!(whole(&mut session), [250; 5], "it works again ({act:?} at {step})");
        }
    }
}

#[test]
fn each_default_action_is_done() {
    for (on_failure, expected, hold) in [
        (OnFailure::Accept, vec![250; 5], false),
        (OnFailure::TempFail, vec![451], false),
        (OnFailure::Reject, vec![550], false),
        (OnFailure::Quarantine, vec![250; 5], true),
    ] {
        let stub = StubMilter::new().on('M', "", &[Answer::Close]).start();
        let filters = Filters::new(vec![Filter { on_failure, ..filter(&stub) }]);
        let mut session = session(&filters);
        assert_eq!(whole(&mut session), expected, "{on_failure:?}");
        if expected.len() > 1 {
            session.mail(&client(), &[b"<a@x.example>"], &none);
            assert_eq!(session.show(0, &message(), &none).hold, hold, "{on_failure:?}");
        }
    }
}

#[test]
fn a_silent_filter_costs_its_limit_and_then_it_rests() {
    for step in ['M', 'E'] {
        let stub = StubMilter::new().on(step, "", &[Answer::Silence]).start();
        let limit = Duration::from_secs(1);
        let quick = Filter { command_timeout: limit, message_timeout: limit, ..filter(&stub) };
        let filters = Filters::new(vec![quick]);
        let began = Instant::now();
        assert_eq!(whole(&mut session(&filters)).last(), Some(&451));
        assert!(began.elapsed() >= limit);
        let (began, asked) = (Instant::now(), stub.connections());
        for _ in 0..20 {
            assert_eq!(whole(&mut session(&filters)), [451]);
        }
        // It rests for ten seconds: on a machine that stood still one of them may have tried again.
        let tried = stub.connections() - asked;
        assert!(tried as u64 <= began.elapsed().as_secs() / 10, "{tried} of twenty waited");
    }
}

#[test]
fn progress_buys_time_but_not_for_ever() {
    // Longer than the limit in all, and each wait much shorter than it: for a machine that stands still meanwhile.
    let limit = Duration::from_secs(10);
    let mut patient: Vec<Answer> =
        (0..44).flat_map(|_| [Answer::Wait(limit / 40), Answer::plain('p')]).collect();
    patient.push(Answer::go_on());
    let stub = StubMilter::new().on('E', "", &patient).start();
    let filters = Filters::new(vec![Filter { message_timeout: limit, ..filter(&stub) }]);
    assert_eq!(whole(&mut session(&filters)).last(), Some(&250));
    let endless: Vec<Answer> =
        (0..200).flat_map(|_| [Answer::Wait(Duration::from_millis(10)), Answer::plain('p')]).collect();
    let stub = StubMilter::new().on('E', "", &endless).start();
    let filters = Filters::new(vec![Filter { message_timeout: Duration::from_millis(100), ..filter(&stub) }]);
    assert_eq!(whole(&mut session(&filters)).last(), Some(&451));
}

#[test]
fn modifications_come_with_the_verdict_and_not_without() {
    let all = [
        Answer::add_header("X-A", "1\n\t2"),
        Answer::insert_header(0, "X-B", "b"),
        Answer::plain('p'),
        Answer::change_header(1, "Subject", ""),
        Answer::change_sender("<new@x.example>"),
        Answer::add_recipient("<d@y.example>"),
        Answer::add_recipient_with("<e@y.example>", "NOTIFY=NEVER"),
        Answer::delete_recipient("<b@y.example>"),
        Answer::body("new\n"),
        Answer::body("body"),
        Answer::quarantine("odd"),
    ];
    for (last, kept) in [('c', true), ('a', true), ('r', false), ('d', false)] {
        let answers = [&all[..], &[Answer::plain(last)]].concat();
        let stub = StubMilter::new().on('E', "", &answers).start();
        let mut session = one(&stub);
        session.mail(&client(), &[b"<a@x.example>"], &none);
        let changes = session.show(0, &message(), &none).changes;
        assert_eq!(changes.list.len(), if kept { 8 } else { 0 }, "{last}");
        if kept {
            assert_eq!(changes.body.as_deref(), Some(b"new\r\nbody\r\n".as_slice()));
            let first = Change::AddHeader { name: b"X-A".to_vec(), value: b"1\n\t2".to_vec() };
            assert_eq!(changes.list[0], first);
        }
    }
}

#[test]
fn a_filter_that_changes_without_end_or_too_early_fails() {
    let many = vec![Answer::add_header("X", "y"); 10_001];
    let stub = StubMilter::new().on('E', "", &many).start();
    assert_eq!(whole(&mut one(&stub)).last(), Some(&451));
    let large = vec![Answer::Packet(b'b', vec![b'x'; 1 << 16]); 17];
    let stub = StubMilter::new().on('E', "", &large).start();
    assert_eq!(whole(&mut one(&stub)).last(), Some(&451));
    let stub = StubMilter::new().on('N', "", &[Answer::add_header("X", "y")]).start();
    assert_eq!(whole(&mut one(&stub)).last(), Some(&451));
    let endless = Answer::Raw([&[0, 0x10, 0, 0, b'b'], vec![b'x'; 100].as_slice()].concat());
    let stub = StubMilter::new().on('E', "", &[endless, Answer::Close]).start();
    assert_eq!(whole(&mut one(&stub)).last(), Some(&451), "a packet that is cut off");
}

#[test]
fn what_was_agreed_to_be_left_out_is_left_out() {
    let bits = stub_milter::NO_HEADERS | stub_milter::NR_CONNECT | stub_milter::SKIP;
    let stub = StubMilter::new().protocol(bits).on('B', "", &[Answer::plain('s')]).start();
    let mut session = one(&stub);
    session.mail(&client(), &[b"<a@x.example>"], &none);
    let body = vec![b'x'; 200_000];
    let shown = session.show(0, &Message { body: &body, ..message() }, &none);
    assert_eq!(shown.verdict, Verdict::Continue);
    let codes: String = stub.commands().iter().map(|line| &line[..1]).collect();
    assert_eq!(codes, "CHMNBE", "one piece, then it had enough");
    let bits = stub_milter::NO_BODY | stub_milter::LEADING_SPACE | stub_milter::NR_HEADER;
    let stub = StubMilter::new().protocol(bits).start();
    assert_eq!(whole(&mut one(&stub)), [250; 5]);
    assert!(stub.commands().contains(&"L|Subject| one\n two".to_owned()));
    assert!(!stub.commands().iter().any(|line| line.starts_with('B')));
    // SKIP without having asked for it
    let stub = StubMilter::new().on('B', "", &[Answer::plain('s')]).start();
    assert_eq!(whole(&mut one(&stub)).last(), Some(&451));
}

#[test]
fn large_bodies_come_in_pieces_of_the_agreed_size() {
    for (bits, size) in [(0, 65_535), (0x1000_0000, 262_143), (0x2000_0000, 1_048_575)] {
        let stub = StubMilter::new().protocol(bits).start();
        let mut session = one(&stub);
        session.mail(&client(), &[b"<a@x.example>"], &none);
        let body = vec![b'x'; 2_500_000];
        session.show(0, &Message { body: &body, ..message() }, &none);
        let pieces: Vec<usize> =
            stub.commands().iter().filter(|line| line.starts_with('B')).map(|line| line.len() - 2).collect();
        assert_eq!(pieces.iter().sum::<usize>(), body.len());
        assert!(pieces[..pieces.len() - 1].iter().all(|piece| *piece == size), "{pieces:?}");
    }
}

#[test]
fn a_negotiation_that_goes_wrong_is_a_failure() {
    for script in [
        StubMilter::new().version(7),
        StubMilter::new().version(1),
        StubMilter::new().actions(0x200),
        StubMilter::new().protocol(0x20_0000),
        StubMilter::new().negotiates(&[Answer::go_on()]),
        StubMilter::new().negotiates(&[Answer::Packet(b'O', vec![0; 11])]),
        StubMilter::new().negotiates(&[Answer::Close]),
        StubMilter::new().negotiates(&[Answer::Raw(b"220 mail.example ESMTP\r\n".to_vec())]),
    ] {
        assert_eq!(whole(&mut one(&script.start())), [451]);
    }
    let stub = StubMilter::new().version(2).actions(0x1f).start();
    assert_eq!(whole(&mut one(&stub)), [250; 5], "an old one is understood");
}

#[test]
fn macros_come_with_their_commands() {
    let value = |name: &str| Some(format!("the {name}"));
    let stub = StubMilter::new().wants_macros(2, "i {client_addr} auth_authen").start();
    let mut session = one(&stub);
    session.mail(&client(), &[b"<a@x.example>"], &value);
    assert_eq!(stub.macro_value('M', "{client_addr}").as_deref(), Some("the {client_addr}"));
    assert_eq!(stub.macro_value('M', "{auth_authen}").as_deref(), Some("the {auth_authen}"));
    assert_eq!(stub.macro_value('M', "{mail_addr}"), None, "it asked for others");
    assert_eq!(stub.macro_value('C', "j").as_deref(), Some("the j"));
    assert_eq!(stub.macro_value('C', "i"), None);
}

#[test]
fn the_first_who_refuses_spares_the_rest_and_a_failure_is_that_of_one() {
    let first = StubMilter::new().on('R', "<b@", &[Answer::plain('r')]).start();
    let second = StubMilter::new().start();
    let dead = StubMilter::new().negotiates(&[Answer::Close]).start();
    let ignored = Filter { on_failure: OnFailure::Accept, ..filter(&dead) };
    let filters = Filters::new(vec![ignored, filter(&first), filter(&second)]);
    assert_eq!(whole(&mut session(&filters)), [250, 550, 250, 250, 250]);
    let seen = second.commands();
    assert!(
        !seen.iter().any(|line| line.starts_with("R|<b@")) && seen.contains(&"R|<c@y.example>".to_owned())
    );
}

#[test]
fn refused_recipients_are_told_to_who_asked_for_them() {
    for (bits, told) in [(0, false), (stub_milter::RCPT_REJECTED, true)] {
        let stub = StubMilter::new().protocol(bits).start();
        let mut session = one(&stub);
        session.mail(&client(), &[b"<a@x.example>"], &none);
        session.rcpt_refused(&[b"<nobody@y.example>"], &none);
        assert_eq!(stub.commands().contains(&"R|<nobody@y.example>".to_owned()), told);
    }
}

#[test]
fn unknown_commands_are_told_unless_nobody_cares() {
    let stub = StubMilter::new().on('U', "", &[Answer::refuse("500 5.5.1 what?")]).start();
    let mut session = one(&stub);
    assert_eq!(code(&session.unknown(&client(), b"XYZZY 1", &none)), 500);
    assert!(stub.commands().contains(&"U|XYZZY 1".to_owned()));
    let stub = StubMilter::new().protocol(stub_milter::NO_UNKNOWN).start();
    let filters = Filters::new(vec![filter(&stub)]);
    assert_eq!(code(&self::session(&filters).unknown(&client(), b"X", &none)), 250);
    assert_eq!(code(&self::session(&filters).unknown(&client(), b"X", &none)), 250);
    assert_eq!(stub.connections(), 1, "the second time it is known");
}

#[test]
fn a_connection_is_used_for_the_next_client_when_that_is_wanted() {
    for (reuse, connections) in [(true, 1), (false, 3)] {
        let stub = StubMilter::new().start();
        let filters = Filters::new(vec![Filter { reuse, ..filter(&stub) }]);
        for _ in 0..3 {
            assert_eq!(whole(&mut session(&filters)), [250; 5]);
        }
        assert_eq!(stub.connections(), connections);
    }
    // Not after a message that was not finished: libmilter would not know what to make of it.
    let stub = StubMilter::new().start();
    let filters = Filters::new(vec![Filter { reuse: true, ..filter(&stub) }]);
    session(&filters).mail(&client(), &[b"<a@x.example>"], &none);
    assert_eq!(whole(&mut session(&filters)), [250; 5]);
    assert_eq!(stub.connections(), 2);
}

#[test]
fn a_kept_connection_that_is_gone_is_no_failure() {
    let stub = StubMilter::new().on('K', "", &[Answer::Close]).start();
    let filters = Filters::new(vec![Filter { reuse: true, ..filter(&stub) }]);
    for _ in 0..3 {
        assert_eq!(whole(&mut session(&filters)), [250; 5]);
        stub.wait_for("K");
    }
}

#[test]
fn a_filter_may_be_at_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let stub = StubMilter::new().at(&folder.path().join("filter.sock")).start();
    assert_eq!(whole(&mut one(&stub)), [250; 5]);
    let missing = Filter { endpoint: Endpoint::Unix(folder.path().join("none")), ..filter(&stub) };
    assert_eq!(whole(&mut session(&Filters::new(vec![missing]))), [451]);
}
