//! The counters, each declared once: from this table come the words of the file, what `counterutil` shows and what
//! Prometheus is told.

/// Who counts, as in `run/<service>.pid`. The place is the number in the file, from 1: new ones at the end.
pub const SERVICES: [&str; 5] = ["smtp", "imap", "pop", "http", "store"];

/// What the numbers of several processes come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows: the sum of all processes that there have been.
    Sum,
    /// How many there are now: the sum of those that run.
    Now,
    /// The most that there were at once in a process: the sum of those that run, which is never less than it was.
    Peak,
    /// A second since 1970: the first of those that run.
    Start,
    /// A second since 1970: the last of all.
    Last,
}

/// Counters that belong together: an object of `counterutil`, or one for each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// `smtpstat`, `imapstat`, `popstat`, `httpstat`.
    Sessions,
    /// `dispatcher`, the services beside each other.
    Dispatcher,
    /// `queuestat`
    Queue,
    /// `storestat`
    Store,
    /// `directorystat`
    Directory,
}

/// One counter.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    pub counter: Counter,
    pub group: Group,
    pub kind: Kind,
    /// Of `counterutil`; those of the original where it has them.
    pub name: &'static str,
    /// Of Prometheus, behind `mailboat_`.
    pub metric: &'static str,
    /// What it counts, in a line.
    pub about: &'static str,
}

macro_rules! counters {
    ($($counter:ident: $group:ident, $kind:ident, $name:literal, $metric:literal, $about:literal;)*) => {
        /// What can be counted; the number is the place of its word in a slot. New ones at the end: a file is read by
        /// programs of any version.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($counter),* }

        /// All of them, in the order of their words.
        pub static DEFINITIONS: &[Definition] = &[$(Definition {
            counter: Counter::$counter, group: Group::$group, kind: Kind::$kind,
            name: $name, metric: $metric, about: $about,
        }),*];
    };
}

counters! {
    StartTime: Sessions, Start, "currentStartTime", "start_time_seconds", "When the process started that has run for longest.";
    LastConnection: Sessions, Last, "lastConnectionTime", "last_connection_time_seconds", "When the last connection came.";
    MaxConnections: Sessions, Peak, "maxConnections", "connections_max", "The most connections at once since the start.";
    Connections: Sessions, Sum, "numConnections", "connections_total", "Connections accepted.";
    CurrentConnections: Sessions, Now, "numCurrentConnections", "connections", "Connections now.";
    FailedConnections: Sessions, Sum, "numFailedConnections", "connections_refused_total", "Connections turned away: too many of a network, or not allowed from there.";
    FailedLogIns: Sessions, Sum, "numFailedLogins", "logins_failed_total", "Log-ins refused.";
    GoodLogIns: Sessions, Sum, "numGoodLogins", "logins_total", "Log-ins.";
    LogInsPutOff: Sessions, Sum, "numLoginsPutOff", "logins_put_off_total", "Log-ins put off before a look at the password.";
    Commands: Sessions, Sum, "numCommands", "commands_total", "Commands, or requests.";
    BytesReceived: Sessions, Sum, "bytesReceived", "received_bytes_total", "Bytes received, as they are inside of TLS and compression.";
    BytesSent: Sessions, Sum, "bytesSent", "sent_bytes_total", "Bytes sent, as they are inside of TLS and compression.";
    TlsSessions: Sessions, Sum, "numTLSSessions", "tls_sessions_total", "Handshakes of TLS that succeeded.";
    TlsFailures: Sessions, Sum, "numFailedTLS", "tls_failures_total", "Handshakes of TLS that failed.";
    Threads: Dispatcher, Now, "numThreads", "threads", "Worker threads now.";
    MaxThreads: Dispatcher, Peak, "maxThreads", "threads_max", "The most worker threads at once since the start.";
    BusyThreads: Dispatcher, Now, "numBusyThreads", "threads_busy", "Worker threads that do something now.";
    MaxBusyThreads: Dispatcher, Peak, "maxBusyThreads", "threads_busy_max", "The most worker threads that did something at once.";
    ThreadLimit: Dispatcher, Now, "threadLimit", "threads_limit", "The most worker threads that there may be.";
    Jobs: Dispatcher, Sum, "numJobs", "jobs_total", "Pieces of work done.";
    QueueWaits: Dispatcher, Sum, "numQueueWaits", "job_waits_total", "Pieces of work that had to wait since no thread was free and no more could be.";
    MessagesAccepted: Queue, Sum, "numMessagesAccepted", "messages_accepted_total", "Messages taken into the queue, reports and copies included.";
    BytesAccepted: Queue, Sum, "bytesAccepted", "messages_accepted_bytes_total", "Bytes of the messages taken into the queue.";
    RecipientsAccepted: Queue, Sum, "numRecipientsAccepted", "recipients_accepted_total", "Recipients of the messages taken into the queue.";
    Delivered: Queue, Sum, "numDelivered", "recipients_delivered_total", "Deliveries into mailboxes of this host.";
    Relayed: Queue, Sum, "numRelayed", "recipients_relayed_total", "Recipients that other hosts took.";
    Deferred: Queue, Sum, "numDeferred", "messages_deferred_total", "Attempts at a message that left somebody to be tried again.";
    Failed: Queue, Sum, "numFailed", "recipients_failed_total", "Recipients given up for good.";
    QueueLength: Queue, Now, "queueLength", "queue_length", "Messages in the queue that are being worked off, at the last sample.";
    QueueParked: Queue, Now, "queueParked", "queue_parked", "Messages that wait for a time of their sender's choice, at the last sample.";
    QueueDeferred: Queue, Now, "queueDeferredDomains", "queue_deferred_domains", "Domains with deferred mail, at the last sample.";
    QueueSampled: Queue, Last, "lastSampleTime", "queue_sample_time_seconds", "When the lengths were last sampled.";
    Appends: Store, Sum, "numAppends", "store_appends_total", "Messages put into mailboxes.";
    AppendedBytes: Store, Sum, "bytesAppended", "store_appended_bytes_total", "Bytes of the messages put into mailboxes.";
    Expunges: Store, Sum, "numExpunges", "store_expunges_total", "Messages expunged.";
    CleanUps: Store, Sum, "numCleanUps", "store_clean_ups_total", "Nightly clean-ups that came to their end.";
    Unlinked: Store, Sum, "numUnlinked", "store_unlinked_total", "Files of expunged messages removed.";
    Searches: Directory, Sum, "numSearches", "directory_searches_total", "Questions put to the LDAP servers.";
    DirectoryFailures: Directory, Sum, "numFailedSearches", "directory_failures_total", "Questions to the LDAP servers that came to nothing.";
    CacheHits: Directory, Sum, "numCacheHits", "directory_cache_hits_total", "Passwords known from before.";
    CacheMisses: Directory, Sum, "numCacheMisses", "directory_cache_misses_total", "Passwords that had to be checked.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_counter_is_at_its_place_under_a_name_of_its_own() {
        for (place, definition) in DEFINITIONS.iter().enumerate() {
            assert_eq!(definition.counter as usize, place, "{}", definition.name);
            assert_eq!(
                definition.kind == Kind::Sum,
                definition.metric.ends_with("_total"),
                "{}",
                definition.metric
            );
            assert!(definition.metric.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        }
        let names: BTreeSet<_> = DEFINITIONS.iter().map(|one| one.name).collect();
        let metrics: BTreeSet<_> = DEFINITIONS.iter().map(|one| one.metric).collect();
        assert_eq!((names.len(), metrics.len()), (DEFINITIONS.len(), DEFINITIONS.len()));
    }
}
