//! The stages beside mailbox-deliver that end on this host, each with its own workers: unix-deliver, prog-deliver,
//! autoreply-handler.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::autoreply::remembered::Remembered;
use crate::flight::Flight;
use crate::mta::Desk;
use crate::pool::Pool;
use crate::stages::{autoreply_handler, prog_deliver, unix_deliver};
use crate::ways::Way;
use crate::work::Route;

/// Messages in the line of each at most; what finds no room comes again soon.
const LINE_MAX: usize = 1000;
/// Below the queue: who was answered.
const REMEMBERED: &str = "autoreply";

/// The three pools.
pub struct Local {
    autoreply_handler: Arc<Pool<Arc<Flight>>>,
    unix_deliver: Arc<Pool<Arc<Flight>>>,
    prog_deliver: Arc<Pool<Arc<Flight>>>,
    stopping: Arc<AtomicBool>,
}

impl Default for Local {
    fn default() -> Local {
        Local {
            autoreply_handler: Pool::new(),
            unix_deliver: Pool::new(),
            prog_deliver: Pool::new(),
            stopping: Arc::default(),
        }
    }
}

impl Local {
    /// Starts the workers. A message that a stage is done with goes to `onward`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        &self,
        desk: &Arc<Desk>,
        onward: impl Fn(Arc<Flight>) + Clone + Send + Sync + 'static,
        panicked: impl Fn(&'static str) -> Box<dyn Fn() + Send + Sync>,
    ) -> io::Result<()> {
        let settings = &desk.settings.local;
        let remembered = Remembered::new(&desk.queue.folder().join(REMEMBERED));
        let (at, to) = (desk.clone(), onward.clone());
        self.autoreply_handler.start(
            "autoreply-handler",
            settings.autoreply_handler.threads,
            move |flight| {
                flight.step("autoreply-handler", &at.log, |work| {
                    autoreply_handler::run(&at, &remembered, work)
                });
                to(flight);
            },
            panicked("autoreply-handler"),
        )?;
        let (at, to, stopping) = (desk.clone(), onward.clone(), self.stopping.clone());
        self.unix_deliver.start(
            "unix-deliver",
            settings.unix_deliver.threads,
            move |flight| {
                let go_on = || !stopping.load(Ordering::Relaxed);
                flight.guarded("unix-deliver", &at.log, || unix_deliver::run(&at, &flight, &go_on));
                pass(&stopping, flight, &to);
            },
            panicked("unix-deliver"),
        )?;
        let (at, to, stopping) = (desk.clone(), onward, self.stopping.clone());
        self.prog_deliver.start(
            "prog-deliver",
            settings.prog_deliver.threads,
            move |flight| {
                let go_on = || !stopping.load(Ordering::Relaxed);
                flight.guarded("prog-deliver", &at.log, || prog_deliver::run(&at, &flight, &go_on));
                pass(&stopping, flight, &to);
            },
            panicked("prog-deliver"),
        )
    }

    /// Gives a message to the stage whose turn it is; back when there is none, or no room. What may take long comes last.
    pub fn take(&self, flight: Arc<Flight>) -> Option<Arc<Flight>> {
        let pool = flight.with(|work| {
            let has = |wanted: fn(&Way) -> bool| {
                work.routes.iter().any(|(_, route)| matches!(route, Route::Local { way, .. } if wanted(way)))
            };
            if has(|way| *way == Way::AutoReply) {
                Some(&self.autoreply_handler)
            } else if has(|way| *way == Way::Native) {
                Some(&self.unix_deliver)
            } else if has(|way| matches!(way, Way::Program(_))) {
                Some(&self.prog_deliver)
            } else {
                None
            }
        });
        match pool.flatten() {
            Some(pool) => pool.try_push(flight, LINE_MAX).err(),
            None => Some(flight),
        }
    }

    /// Running programs are ended; their messages, and all that wait, stay in the queue.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.autoreply_handler.stop();
        self.unix_deliver.stop();
        self.prog_deliver.stop();
    }
}

/// A message that was left undone because smtpd stops goes on at the next start, at once.
fn pass(stopping: &AtomicBool, flight: Arc<Flight>, onward: &impl Fn(Arc<Flight>)) {
    if !stopping.load(Ordering::Relaxed) {
        onward(flight);
    }
}
