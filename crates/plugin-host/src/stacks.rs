//! The stacks of protocol plug-ins: one for each session that has said a line.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::{self};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugins::wire::Frame;

use crate::ffi::{ProtocolModule, Response, Stack};
use crate::serve::Desk;

/// Sessions at once; more are refused.
const SESSIONS_MAX: usize = 200_000;

/// See the head of this file.
pub struct Stacks {
    modules: &'static [ProtocolModule],
    sessions: Mutex<HashMap<u64, Arc<Mutex<Stack>>>>,
}

impl Stacks {
    /// What is loaded stays for good.
    pub fn new(modules: Vec<ProtocolModule>) -> Stacks {
        Stacks { modules: modules.leak(), sessions: Mutex::default() }
    }

    /// The objects of a session go.
    pub fn forget(&self, desk: &Desk, session: u64) {
        let gone = lock(&self.sessions).remove(&session);
        let call = desk.watch.call();
        drop(gone); // or with the line that is under way
        drop(call);
    }

    /// Gives a line to the stack of its session. What it defers goes to smtpd meanwhile.
    ///
    /// # Errors
    /// smtpd does not listen.
    pub fn line(&self, desk: &Desk, frame: &Frame, stream: &mut UnixStream) -> io::Result<Frame> {
        let failed = |why: &str| Ok(Frame::new(b'a', ["!", why]));
        let (Ok(session), Ok(line)) = (frame.text(0).parse::<u64>(), CString::new(frame.field(2))) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let call = desk.watch.call();
        let stack = match self.stack(session, frame.field(1) == b"new", frame) {
            Ok(Some(stack)) => stack,
            Ok(None) => return Ok(Frame::new(b'a', ["lost", ""])),
            Err(why) => return failed(&why),
        };
        let mut stack = lock(&stack);
        stack.set_properties(properties(frame));
        let mut below = |line: &[u8]| {
            call.ours();
            let reply = ask(stream, line).ok();
            call.theirs();
            reply
        };
        match stack.process(&line, &mut below) {
            Response::Done(text) => Ok(Frame::new(b'a', [b"done".to_vec(), text])),
            Response::Close(text) => Ok(Frame::new(b'a', [b"close".to_vec(), text])),
            Response::None => failed("a plug-in gave no answer"),
        }
    }

    fn stack(&self, session: u64, is_new: bool, frame: &Frame) -> Result<Option<Arc<Mutex<Stack>>>, String> {
        if !is_new {
            return Ok(lock(&self.sessions).get(&session).cloned());
        }
        if lock(&self.sessions).len() >= SESSIONS_MAX {
            return Err("too many sessions".into());
        }
        let stack = Stack::new(self.modules, properties(frame)).ok_or("a plug-in takes no session")?;
        let stack = Arc::new(Mutex::new(stack));
        lock(&self.sessions).insert(session, stack.clone());
        Ok(Some(stack))
    }
}

/// The server's reply to a line, and whether it closes.
fn ask(stream: &mut UnixStream, line: &[u8]) -> io::Result<(Vec<u8>, bool)> {
    Frame::new(b'd', [line]).write(stream)?;
    let mut frame = Frame::read(stream)?;
    if frame.kind != b'R' || frame.fields.len() != 2 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let closes = frame.field(1) == b"close";
    Ok((frame.fields.swap_remove(0), closes))
}

fn properties(frame: &Frame) -> Vec<(String, CString)> {
    let pairs = frame.fields.iter().skip(3).filter_map(|field| {
        let at = field.iter().position(|byte| *byte == b'=')?;
        Some((String::from_utf8(field[..at].to_vec()).ok()?, CString::new(&field[at + 1..]).ok()?))
    });
    pairs.collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
