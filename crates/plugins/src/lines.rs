//! The threads that command lines wait in while a stack of plug-ins looks at them.
//!
//! A session holds no thread meanwhile: it is woken when the stack has answered, or has a line for the server below. Threads
//! are started when they are needed and end when they are not. More lines than threads and places fail at once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::host::{Connection, Host, lock};
use crate::wire::Frame;

/// How long a thread waits for something to do before it ends.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Lines that wait for a thread.
const WAITING_MAX: usize = 1024;
/// Ends of sessions that wait for one.
const ENDED_MAX: usize = 100_000;

/// A command line of a session.
pub struct Question {
    pub session: u64,
    /// The first of its session: the stack's objects are made.
    pub is_first: bool,
    pub line: Vec<u8>,
    /// What PPSESSION_GETPROPERTY tells.
    pub properties: Vec<(&'static str, String)>,
}

/// What a stack says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A line for the server below: [`Exchange::reply`] is waited for.
    Defer(Vec<u8>),
    /// The reply, lines apart by CR LF; and whether the session ends.
    Answer(Vec<u8>, bool),
    /// The process that knew this session has ended.
    Lost,
    /// And why.
    Failed(String),
}

enum Step {
    /// It is the stack's turn.
    Theirs,
    Said(Said),
    /// The server has answered.
    Reply(Vec<u8>, bool),
    /// The session has ended.
    Gone,
}

type Shared = Arc<(Mutex<Step>, Condvar)>;

/// A line under way. Dropped: nobody wants to know any more.
pub struct Exchange(Shared);

impl Exchange {
    /// What the stack has said since, if it has.
    pub fn take(&self) -> Option<Said> {
        let mut step = lock(&self.0.0);
        match std::mem::replace(&mut *step, Step::Theirs) {
            Step::Said(said) => Some(said),
            other => {
                *step = other;
                None
            }
        }
    }

    /// What the server says to the line that was deferred to it.
    pub fn reply(&self, reply: Vec<u8>, is_last: bool) {
        *lock(&self.0.0) = Step::Reply(reply, is_last);
        self.0.1.notify_one();
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        *lock(&self.0.0) = Step::Gone;
        self.0.1.notify_one();
    }
}

struct Job {
    question: Question,
    shared: Shared,
    wake: Box<dyn Fn() + Send>,
    since: Instant,
}

#[derive(Default)]
struct Work {
    jobs: VecDeque<Job>,
    ended: VecDeque<u64>,
    threads: usize,
    idle: usize,
}

struct Inner {
    host: Host,
    threads_max: usize,
    work: Mutex<Work>,
    changed: Condvar,
}

/// See the head of this file.
#[derive(Clone)]
pub struct Lines(Arc<Inner>);

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("threads_max", &self.0.threads_max).finish_non_exhaustive()
    }
}

impl Lines {
    pub fn new(host: Host, threads_max: usize) -> Lines {
        let work = Mutex::default();
        Lines(Arc::new(Inner { host, threads_max, work, changed: Condvar::new() }))
    }

    /// How long the plug-ins may take.
    pub fn timeout(&self) -> Duration {
        self.0.host.timeout()
    }

    /// Gives a line to the stack; `wake` is called when it has said something. Nothing when too many wait.
    pub fn ask(&self, question: Question, wake: Box<dyn Fn() + Send>) -> Option<Exchange> {
        let mut work = lock(&self.0.work);
        if work.jobs.len() >= WAITING_MAX || !self.has_thread(&mut work) {
            return None;
        }
        let shared: Shared = Arc::new((Mutex::new(Step::Theirs), Condvar::new()));
        work.jobs.push_back(Job { question, shared: shared.clone(), wake, since: Instant::now() });
        drop(work);
        self.0.changed.notify_one();
        Some(Exchange(shared))
    }

    /// A session has ended.
    pub fn forget(&self, session: u64) {
        let mut work = lock(&self.0.work);
        if work.ended.len() < ENDED_MAX && self.has_thread(&mut work) {
            work.ended.push_back(session);
            drop(work);
            self.0.changed.notify_one();
        }
    }

    fn has_thread(&self, work: &mut Work) -> bool {
        if work.idle <= work.jobs.len() && work.threads < self.0.threads_max {
            let inner = self.0.clone();
            let started = std::thread::Builder::new().name("plug-ins".into()).spawn(move || inner.run());
            work.threads += usize::from(started.is_ok());
        }
        work.threads > 0
    }
}

impl Inner {
    /// The life of a thread.
    fn run(&self) {
        let mut work = lock(&self.work);
        loop {
            let ended = work.ended.pop_front();
            let job = if ended.is_none() { work.jobs.pop_front() } else { None };
            if ended.is_some() || job.is_some() {
                drop(work);
                ended.into_iter().for_each(|session| self.tell_end(session));
                job.into_iter().for_each(|job| self.do_job(job));
                work = lock(&self.work);
                continue;
            }
            work.idle += 1;
            let (woken, wait) =
                self.changed.wait_timeout(work, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            work = woken;
            work.idle = work.idle.saturating_sub(1);
            if wait.timed_out() && work.jobs.is_empty() && work.ended.is_empty() {
                work.threads = work.threads.saturating_sub(1);
                return;
            }
        }
    }

    fn tell_end(&self, session: u64) {
        let frame = Frame::new(b'F', [session.to_string()]);
        // A process that does not take it has ended, and its sessions with it.
        if let Ok(mut connection) = self.host.connection()
            && connection.say(&frame).is_ok()
        {
            self.host.keep(connection);
        }
    }

    fn do_job(&self, job: Job) {
        let Job { question, shared, wake, since } = job;
        if matches!(*lock(&shared.0), Step::Gone) {
            return;
        }
        let session = question.session;
        let said = if since.elapsed() > self.host.timeout() {
            Said::Failed("too many lines wait for plug-ins".into())
        } else {
            match self.talk(question, &shared, &wake) {
                Ok(Some(said)) => said,
                Ok(None) => return self.tell_end(session),
                Err(why) => Said::Failed(format!("pluginhost: {why}")),
            }
        };
        if !tell(&shared, said, &wake) {
            // Its end may have been told before its objects were made.
            self.tell_end(session);
        }
    }

    fn talk(&self, question: Question, shared: &Shared, wake: &dyn Fn()) -> io::Result<Option<Said>> {
        let mut connection = self.host.connection()?;
        let state = if question.is_first { "new" } else { "old" };
        let mut fields =
            vec![question.session.to_string().into_bytes(), state.as_bytes().to_vec(), question.line];
        fields.extend(question.properties.iter().map(|(name, value)| format!("{name}={value}").into_bytes()));
        connection.say(&Frame::new(b'L', fields))?;
        loop {
            let frame = connection.hear()?;
            match (frame.kind, frame.field(0)) {
                (b'd', line) => {
                    tell(shared, Said::Defer(line.to_vec()), wake);
                    if !wait_for_server(shared, &mut connection)? {
                        return Ok(None);
                    }
                }
                (b'a', b"!") => {
                    self.host.keep(connection);
                    return Ok(Some(Said::Failed(base::escape(&frame.text(1)).to_string())));
                }
                (b'a', b"lost") => {
                    self.host.keep(connection);
                    return Ok(Some(Said::Lost));
                }
                (b'a', how @ (b"done" | b"close")) => {
                    let said = Said::Answer(frame.field(1).to_vec(), how == b"close");
                    self.host.keep(connection);
                    return Ok(Some(said));
                }
                _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer that is none")),
            }
        }
    }
}

/// False when the session is gone.
fn tell(shared: &Shared, said: Said, wake: &dyn Fn()) -> bool {
    let mut step = lock(&shared.0);
    let is_there = !matches!(*step, Step::Gone);
    if is_there {
        *step = Step::Said(said);
        drop(step);
        wake();
    }
    is_there
}

/// Waits for the server below, for as long as it takes: its own limits end it. False when the session is gone.
fn wait_for_server(shared: &Shared, connection: &mut Connection) -> io::Result<bool> {
    let waits = |step: &mut Step| !matches!(step, Step::Reply(..) | Step::Gone);
    let mut step = shared.1.wait_while(lock(&shared.0), waits).unwrap_or_else(PoisonError::into_inner);
    match std::mem::replace(&mut *step, Step::Theirs) {
        Step::Reply(reply, is_last) => {
            drop(step);
            connection.renew();
            let last: &[u8] = if is_last { b"close" } else { b"" };
            connection.say(&Frame::new(b'R', [&reply[..], last]))?;
            Ok(true)
        }
        _ => {
            *step = Step::Gone;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread;

    use super::*;

    /// A session that ends during its first line: its end overtakes the line, and is told once more behind it.
    #[test]
    fn objects_that_were_made_for_a_session_that_has_ended_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let lines = Lines::new(Host::at(path, Duration::from_secs(60)), 2);
        let line = b"NOOP".to_vec();
        let question = Question { session: 7, is_first: true, line, properties: Vec::new() };
        let exchange = lines.ask(question, Box::new(|| ())).unwrap();
        let (mut first, _) = listener.accept().unwrap();
        assert_eq!(Frame::read(&mut first).unwrap().kind, b'L');
        drop(exchange);
        lines.forget(7);
        let (mut second, _) = listener.accept().unwrap();
        assert_eq!(Frame::read(&mut second).unwrap().kind, b'F');
        Frame::new(b'a', ["done", "250 ok"]).write(&mut first).unwrap();
        // On either connection, or one of its own.
        let (told, hear) = std::sync::mpsc::channel();
        let listen = |mut stream: UnixStream, told: std::sync::mpsc::Sender<Frame>| {
            thread::spawn(move || told.send(Frame::read(&mut stream)?).map_err(io::Error::other))
        };
        listen(first, told.clone());
        listen(second, told.clone());
        thread::spawn(move || listener.accept().map(|(stream, _)| listen(stream, told)));
        let again = hear.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!((again.kind, again.text(0).as_str()), (b'F', "7"));
    }
}
