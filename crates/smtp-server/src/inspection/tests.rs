//! Inspectors that do all there is to do, on messages in memory and in files.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc;

use connection::Waker;
use mail_queue::{Queue, QueueSettings};

use super::*;

/// Says what it was told to say; remembers what it saw.
struct Scripted {
    says: Box<dyn Fn(&Inspected<'_>) -> Amendment + Send + Sync>,
    saw: Mutex<Vec<String>>,
}

impl Scripted {
    fn new(says: impl Fn(&Inspected<'_>) -> Amendment + Send + Sync + 'static) -> Arc<Scripted> {
        Arc::new(Scripted { says: Box::new(says), saw: Mutex::default() })
    }
}

impl Inspector for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }
    fn patience(&self) -> Duration {
        Duration::from_secs(5)
    }
    fn concerns(&self, origin: Origin) -> bool {
        origin == Origin::Stranger
    }
    fn inspect(&self, message: &Inspected<'_>) -> Amendment {
        self.saw.lock().unwrap().push(String::from_utf8_lossy(message.header).into_owned());
        assert_eq!(message.whole().len(), message.header.len() + 2 + message.body.len());
        (self.says)(message)
    }
}

fn all(inspectors: &[&Arc<Scripted>]) -> Inspectors {
    Inspectors::new(inspectors.iter().map(|one| -> Arc<dyn Inspector> { (*one).clone() }).collect())
}

fn queue() -> (tempfile::TempDir, Queue) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/local.conf"), "").unwrap();
    let config = server_config::Config::from_text("").unwrap();
    let instance = server_config::Instance::open(Some(folder.path())).unwrap();
    let settings = QueueSettings::from_config(&config, &instance);
    (folder, Queue::open(settings, Log::discard()).unwrap())
}

const TRACE: [&str; 2] = ["Return-Path: <a@x.example>\r\n", "Received: by us\r\n"];

fn case(queue: &Queue, content: &[u8]) -> Box<Case> {
    let mut message = queue.begin();
    message.write_all(TRACE.concat().as_bytes()).unwrap();
    message.write_all(content).unwrap();
    let mut envelope = Envelope::new(message.id().clone());
    envelope.sender = Some("a@x.example".into());
    envelope.recipients = vec![Recipient { address: "b@y.example".into(), ..Recipient::default() }];
    let peer = Peer {
        address: [192, 0, 2, 1].into(),
        helo: "client.example".into(),
        extended: true,
        tls: TlsState::Available,
        user: None,
        origin: Origin::Stranger,
        session: 1,
    };
    let received = Received {
        message,
        relay_offset: TRACE[0].len() as u64,
        content_offset: TRACE.concat().len() as u64,
        hops: 0,
        eight_bit: false,
        content_bytes: content.len() as u64,
    };
    Box::new(Case { peer, received, envelope })
}

fn inspect(case: &mut Case, inspectors: &[&Arc<Scripted>]) -> Fate {
    case.inspect(&all(inspectors), &Log::discard())
}

fn field(name: &str, value: &str) -> Field {
    Field::new(name, value).unwrap()
}

#[test]
fn everything_an_inspector_says_is_done_whatever_the_size() {
    for body in [10, 100_000, 3_000_000] {
        let (_folder, queue) = queue();
        let body = "line of the body\r\n".repeat(body / 18 + 1);
        let mut case = case(&queue, format!("From: a\r\nX: 1\r\n\r\n{body}").as_bytes());
        let first = Scripted::new(|_| Amendment {
            edits: vec![Edit::Prepend(field("Top", "1")), Edit::Remove { name: "x".into(), nth: 1 }],
            sender: Some(Some("new@x.example".into())),
            added_recipients: vec![Recipient { address: "c@y.example".into(), ..Recipient::default() }],
            deleted_recipients: vec!["b@Y.example".into()],
            verdict: Verdict::Quarantine("odd".into()),
            ..Amendment::none()
        });
        let second = Scripted::new(|message| {
            assert_eq!(message.envelope.sender.as_deref(), Some("new@x.example"));
            Amendment { edits: vec![Edit::Append(field("End", "\u{e4}"))], ..Amendment::none() }
        });
        assert_eq!(inspect(&mut case, &[&first, &second]), Fate::Commit);
        assert_eq!(second.saw.lock().unwrap()[..], ["Top: 1\r\nFrom: a\r\n"]);
        let Case { received, mut envelope, .. } = *case;
        envelope.relay_offset = received.relay_offset;
        let id = received.message.commit(envelope).unwrap();
        let text = std::fs::read_to_string(queue.message_path(&id)).unwrap();
        let relayed = format!("Top: 1\r\nReceived: by us\r\nFrom: a\r\nEnd: \u{e4}\r\n\r\n{body}");
        assert!(text == format!("Return-Path: <new@x.example>\r\n{relayed}"), "{}", &text[..200]);
        let envelope = queue.load(&id).unwrap().unwrap().envelope;
        assert_eq!(&text[envelope.relay_offset as usize..], relayed);
        assert_eq!(envelope.message_size, text.len() as u64);
        assert!(envelope.held && envelope.eight_bit);
        assert_eq!(envelope.last_error, "odd");
        let recipients: Vec<&str> = envelope.recipients.iter().map(|one| one.address.as_str()).collect();
        assert_eq!(recipients, ["c@y.example"]);
    }
}

#[test]
fn who_refuses_has_the_last_word_and_nothing_stays() {
    let (_folder, queue) = queue();
    let reply = Reply::new(550, (5, 7, 1), "no");
    let refuses = {
        let reply = reply.clone();
        Scripted::new(move |_| Amendment::verdict(Verdict::Refuse(reply.clone())))
    };
    let discards = Scripted::new(|_| Amendment::verdict(Verdict::Discard("spam".into())));
    let panics = Scripted::new(|_| panic!("a bug"));
    let never = Scripted::new(|_| unreachable!());
    let strips = Scripted::new(|message| Amendment {
        deleted_recipients: message.envelope.recipients.iter().map(|one| one.address.clone()).collect(),
        ..Amendment::none()
    });
    let told = |inspectors: &[&Arc<Scripted>]| {
        let mut case = case(&queue, b"A: b\r\n\r\n");
        let path = queue.message_path(&case.envelope.id);
        let fate = inspect(&mut case, inspectors);
        drop(case);
        assert!(!path.exists());
        fate
    };
    assert_eq!(told(&[&refuses, &never]), Fate::Refuse(reply));
    assert_eq!(told(&[&discards, &never]), Fate::Discard);
    assert_eq!(told(&[&panics, &never]), Fate::Refuse(replies::not_inspected()));
    assert_eq!(told(&[&strips]), Fate::Discard);
}

#[test]
fn only_those_concerned_are_asked() {
    let one = Scripted::new(|_| Amendment::none());
    assert!(all(&[&one]).concerned(Origin::Stranger).is_some());
    assert!(all(&[&one]).concerned(Origin::User).is_none());
    assert!(Inspectors::default().concerned(Origin::Stranger).is_none());
}

/// The line takes as many as it may, and tells the session of each.
#[test]
fn the_line_is_bounded_and_tells_when_it_is_done() {
    struct Bell(mpsc::Sender<u64>);
    impl connection::WakeTarget for Bell {
        fn wake(&self, token: u64) {
            let _ = self.0.send(token);
        }
    }
    let (_folder, queue) = queue();
    let (rings, bell) = mpsc::channel();
    let target = Arc::new(Bell(rings));
    let (go, wait) = mpsc::channel::<()>();
    let (came, busy) = mpsc::channel();
    let (wait, came) = (Mutex::new(wait), Mutex::new(came));
    let waits = Scripted::new(move |_| {
        came.lock().unwrap().send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        Amendment::none()
    });
    let line = InspectionLine::new(Log::discard());
    let limits = Limits { threads: 1, line: 1 };
    let push = |number| {
        let waker = Waker::new(target.clone(), number);
        line.push(case(&queue, b"A: b\r\n\r\n"), all(&[&waits]), limits, waker)
    };
    let first = push(1).unwrap();
    busy.recv().unwrap();
    let second = push(2).unwrap();
    assert!(push(3).is_none());
    assert!(first.take().is_none());
    go.send(()).unwrap();
    assert_eq!(bell.recv().unwrap(), 1);
    assert_eq!(first.take().unwrap().1, Fate::Commit);
    busy.recv().unwrap();
    drop(second);
    let gone = push(4).unwrap();
    drop(gone); // nobody looks at it
    go.send(()).unwrap();
    assert_eq!(bell.recv().unwrap(), 2);
    assert!(bell.recv_timeout(Duration::from_millis(200)).is_err());
    assert!(busy.try_recv().is_err());
}

/// However much a network sends, another one is looked at at once.
#[test]
fn a_network_has_its_share_and_no_more() {
    struct Nobody;
    impl connection::WakeTarget for Nobody {
        fn wake(&self, _: u64) {}
    }
    let (_folder, queue) = queue();
    let (go, wait) = mpsc::channel::<()>();
    let (came, busy) = mpsc::channel();
    let (wait, came) = (Mutex::new(wait), Mutex::new(came));
    let waits = Scripted::new(move |message| {
        came.lock().unwrap().send(message.peer.address).unwrap();
        wait.lock().unwrap().recv().unwrap();
        Amendment::none()
    });
    let line = InspectionLine::new(Log::discard());
    let limits = Limits { threads: 8, line: 40 };
    let push = |address: [u8; 4]| {
        let mut case = case(&queue, b"A: b\r\n\r\n");
        case.peer.address = address.into();
        line.push(case, all(&[&waits]), limits, Waker::new(Arc::new(Nobody), 0))
    };
    // Two are looked at, ten wait.
    let greedy: Vec<Pending> = (0..20).filter_map(|last| push([192, 0, 2, last])).collect();
    assert!((10..=12).contains(&greedy.len()), "{}", greedy.len());
    let first: Vec<IpAddr> = (0..2).map(|_| busy.recv().unwrap()).collect();
    assert!(busy.recv_timeout(Duration::from_millis(200)).is_err());
    let other = push([198, 51, 100, 1]).unwrap();
    assert_eq!(busy.recv().unwrap(), IpAddr::from([198, 51, 100, 1]));
    assert!(!first.contains(&IpAddr::from([198, 51, 100, 1])));
    for _ in 0..=greedy.len() {
        go.send(()).unwrap();
    }
    for _ in 2..greedy.len() {
        busy.recv().unwrap();
    }
    drop(other);
}
