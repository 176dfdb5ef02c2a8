//! One thread that drives every LDAP connection of the process.
//!
//! `ldap3` is asynchronous inside. Its connections live on this thread, so an idle one notices at once that the server has
//! gone; callers block in [`Runtime::run`] as on any other disk or network call. Nothing asynchronous leaves this module's
//! neighbours `connection` and `search`.

use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ldap3::tokio::runtime::{Builder, Handle};
use ldap3::tokio::sync::oneshot;
use ldap3::tokio::time::timeout;

/// Why an operation gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The connection is of no more use.
    Broken(String),
    /// No answer within the time.
    TimedOut(Duration),
    /// The server's answer is a refusal; the connection is good.
    Refused { code: u32, text: String },
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Broken(why) => f.write_str(why),
            Failure::TimedOut(limit) => write!(f, "no answer within {} s", limit.as_secs()),
            Failure::Refused { code, text } => write!(f, "{text} (LDAP result {code})"),
        }
    }
}

/// The thread and how it is reached; ends when it is dropped.
pub struct Runtime {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Runtime {
    /// # Errors
    /// The system gives no thread or no event queue.
    pub fn start() -> io::Result<Runtime> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("ldap".into()).spawn(move || {
            let _ = runtime.block_on(stopped); // an error: whoever could stop it has gone
        })?;
        Ok(Runtime { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs `work` on the thread and waits for what it gives. A panic in the LDAP library, at an answer that is no LDAP,
    /// ends the work and not the process.
    ///
    /// # Errors
    /// What the work says; it takes longer than `limit`; it panicked.
    pub fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let (tell, told) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            let done = timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut(limit)));
            let _ = tell.send(done);
        });
        told.recv()
            .unwrap_or_else(|_| Err(Failure::Broken("the server's answer cannot be understood".into())))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_and_an_endless_wait_are_failures() {
        let runtime = Runtime::start().unwrap();
        let panics = runtime.run(Duration::from_secs(5), async { panic!("expected in this test") });
        assert!(matches!(panics, Err::<(), _>(Failure::Broken(_))));
        let limit = Duration::from_millis(10);
        let waits = runtime.run(limit, std::future::pending::<Result<(), Failure>>());
        assert_eq!(waits, Err(Failure::TimedOut(limit)));
        assert_eq!(runtime.run(Duration::from_secs(5), async { Ok(7) }), Ok(7));
    }
}
