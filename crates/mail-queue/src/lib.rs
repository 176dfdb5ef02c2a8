//! Messages in transit: their files, their states and their hand-over. `docs/formats/queue.md` is the format.
//!
//! smtp-server begins a message, streams it in and commits it; from then on it is the mta's, which loads the entry,
//! records how far it is and finishes it. Several processes may read the queue at once (mailq); one changes it: smtpd
//! while it runs, else a tool that holds smtpd's lock (msg-queue).

mod commands;
mod counts;
mod deferred;
mod entry;
mod envelope;
mod escape;
mod id;
mod incoming;
mod journal;
mod lend;
mod obey;
mod progress;
mod queue;
mod replay;
mod start_check;
mod survey;
mod young;

pub use commands::{Command, Verb};
pub use entry::{Body, Entry, Home, Notebook};
pub use envelope::{Envelope, EnvelopeError, Hold, Recipient, State, Success};
pub use id::QueueId;
pub use incoming::{IncomingMessage, Part};
pub use journal::JOURNALED_BYTES_MAX;
pub use lend::Lent;
pub use obey::{EXPIRED, Finder, Obeyed};
pub use progress::{Filtered, Step, Target};
pub use queue::{Queue, QueueError, QueueSettings};
pub use replay::Recovered;
pub use start_check::{Checked, Waiting};
pub use survey::{Folder, Survey};
