//! Parameters of the message store.

parameters! {
    EXPIRE_START: Count = "store.expirestart", "23", 0, 23, false, Restart, Status::Active, "stored", "The hour of the daily expire and clean-up.";
    CLEANUP_AGE: Hours = "store.cleanupage", "1", 0, 87600, false, Restart, Status::Active, "stored", "The least age of an expunged message before its file goes.";
    DB_CACHE_SIZE: Bytes = "store.dbcachesize", "16777216", 0, i64::MAX, false, Restart, Status::Ignored("the mailbox list is mapped; the system's page cache holds it, as much as there is memory"), "nobody", "The cache of the mailbox list.";
    DB_TMP_DIR: Text = "store.dbtmpdir", "", 0, 0, false, Restart, Status::Ignored("the mailbox list has no cache files"), "nobody", "Where the cache files of the mailbox list live; unset is beside it.";
    DEFAULT_PARTITION: Text = "store.defaultpartition", "primary", 0, 0, false, Restart, Status::Active, "imapd, smtpd, mboxutil", "The partition of new mailboxes.";
    PARTITION_PATH: Text = "store.partition.*.path", "", 0, 0, false, Restart, Status::Active, "all daemons", "The root of a partition; unset is store/partition/<name>.";
    ADMINS: List = "store.admins", "", 0, 0, false, Restart, Status::Active, "imapd, popd, smtpd", "Users who may act on all mailboxes, and as other users.";
    ADMIN_NETWORKS: Networks = "store.adminnetworks", "127.0.0.0/8 ::1/128", 0, 0, false, Restart, Status::Active, "imapd, popd, smtpd", "Networks from which those of store.admins may act as other users: PROXYAUTH, and AUTH with the user's name beside their own. Ours.";
    DEFAULT_MAILBOX_QUOTA: Bytes = "store.defaultmailboxquota", "-1", -1, i64::MAX, false, Restart, Status::Active, "smtpd, imapd", "The quota of users for whom the directory has no mailQuota, or -2, in bytes of all their mailboxes together; 0 and -1 are unlimited. A change reaches a user with the next mail that comes.";
    DEFAULT_MESSAGE_QUOTA: Count = "store.defaultmessagequota", "-1", -1, i64::MAX, false, Restart, Status::Active, "smtpd, imapd", "As store.defaultmailboxquota, in messages (mailMsgQuota or nsmsgNumMsgQuota).";
    QUOTA_ENFORCEMENT: Switch = "store.quotaenforcement", "no", 0, 1, false, Restart, Status::Active, "smtpd, imapd, deliver", "Whether what is over a quota is refused: mail after the grace period, what clients add at once. Without it quotas are only counted, shown and warned of.";
    QUOTA_NOTIFICATION: Switch = "store.quotanotification", "no", 0, 1, false, Restart, Status::Active, "smtpd", "Whether a user gets a message in the INBOX when mail comes and the quota is exceeded.";
    QUOTA_WARN: Count = "store.quotawarn", "90", 1, 100, false, Restart, Status::Active, "imapd", "The percentage of a quota from which a client is warned, once a session, when a mailbox is selected.";
    QUOTA_MESSAGE: Text = "store.quotaexceededmsg", "", 0, 0, false, Restart, Status::Active, "smtpd", "The notice to a user over quota: header fields, an empty line, text; $ ends a line; %n is the name, %a the address, %u how much is used, %l how much is allowed. With ;lang-xx behind the name, for who prefers that language. Unset: a built-in text.";
    QUOTA_MESSAGE_INTERVAL: Days = "store.quotaexceededmsginterval", "7", 0, 3650, false, Restart, Status::Active, "smtpd", "The least time between two notices to one user.";
    QUOTA_GRACE_PERIOD: Hours = "store.quotagraceperiod", "120", 0, 87600, false, Restart, Status::Active, "smtpd", "How long mail is taken from when it first went over the quota, before it is refused; 0 refuses at once.";
    DISK_FLUSH_INTERVAL: Seconds = "store.diskflushinterval", "15", 1, 86400, false, Restart, Status::Ignored("files are synced by their levels"), "nobody", "The original's flush interval.";
    TEXT_INDEX: Switch = "store.textindex", "yes", 0, 1, false, Restart, Status::Active, "stored, imapd", "Whether stored keeps an index of the words of the messages, behind the deliveries, and imapd asks it in SEARCH. Without it SEARCH gives the same answers, reading the messages. When it is set to no, the indexes go with the next clean-up. Ours.";
    TEXT_INDEX_MESSAGES: Count = "store.textindexmessages", "256", 1, 1000000, false, Restart, Status::Active, "stored", "So many new messages of a mailbox are taken into its index of words at once; fewer are read by each SEARCH. Ours.";
    TEXT_INDEX_RATE: Bytes = "store.textindexrate", "20971520", 65536, i64::MAX, false, Restart, Status::Active, "stored", "How much stored reads and writes in a second, at most, for indexes of words; a quarter of it while more programs want to run than there are processors. Ours.";
    UMASK: Text = "store.umask", "077", 0, 0, false, Restart, Status::Ignored("not configurable in the original"), "nobody", "The permissions of store files.";
    DEFAULT_ACL: Text = "store.defaultacl", "anyone lrs", 0, 0, false, Restart, Status::Active, "imapd, mboxutil", "What a new public folder at the top begins with: identifiers and their rights in turn (anyone lrs group=staff@example.org lrswi). Folders below begin with what stands above them.";
    RULE_PATTERN: Text = "store.expirerule.*.folderpattern", "", 0, 0, false, Restart, Status::Active, "stored", "The mailboxes of an ageing rule: user/bob/* (all of bob's), user/%/INBOX (every INBOX), * (all); * stands for anything, % for anything within one level. A rule without it is ignored.";
    RULE_EXCLUSIVE: Switch = "store.expirerule.*.exclusive", "no", 0, 1, false, Restart, Status::Active, "stored", "Whether this rule alone applies to its mailboxes, whatever others match them. Without any criterion it keeps them from ageing.";
    RULE_MESSAGE_DAYS: Days = "store.expirerule.*.messagedays", "0", 0, 36500, false, Restart, Status::Active, "stored", "Messages that arrived longer ago are removed; 0 is no criterion.";
    RULE_SAVE_DAYS: Days = "store.expirerule.*.savedays", "0", 0, 36500, false, Restart, Status::Active, "stored", "Messages that have been in the mailbox for longer are removed; 0 is no criterion.";
    RULE_MESSAGE_COUNT: Count = "store.expirerule.*.messagecount", "0", 0, i64::MAX, false, Restart, Status::Active, "stored", "As many messages may be in one mailbox; the oldest are removed first; 0 is no criterion.";
    RULE_FOLDER_SIZE: Bytes = "store.expirerule.*.foldersizebytes", "0", 0, i64::MAX, false, Restart, Status::Active, "stored", "As much may be in one mailbox; the oldest messages are removed first; 0 is no criterion.";
    RULE_MESSAGE_SIZE: Bytes = "store.expirerule.*.messagesize", "0", 0, i64::MAX, false, Restart, Status::Active, "stored", "Larger messages are removed when they have been in the mailbox for messagesizedays; 0 is no criterion.";
    RULE_MESSAGE_SIZE_DAYS: Days = "store.expirerule.*.messagesizedays", "0", 0, 36500, false, Restart, Status::Active, "stored", "How long a message larger than messagesize may stay.";
    RULE_SEEN: Text = "store.expirerule.*.seen", "", 0, 0, false, Restart, Status::Active, "stored", "and: only messages that were read are removed by this rule; or: whatever was read is removed.";
    RULE_DELETED: Text = "store.expirerule.*.deleted", "", 0, 0, false, Restart, Status::Active, "stored", "and: only messages that are marked deleted are removed by this rule; or: whatever is marked deleted is removed.";
    RULE_FLAGGED: Text = "store.expirerule.*.flagged", "", 0, 0, false, Restart, Status::Active, "stored", "no: messages that are flagged as important are never removed by this rule.";
    DEADLOCK_CHECK: Microseconds = "local.store.deadlock.checkinterval", "1000", 1, 60000000, false, Restart, Status::Ignored("the mailbox list cannot deadlock"), "nobody", "The pause of the deadlock detector.";
    SYNC_LEVEL: Count = "local.store.synclevel", "1", -1, 2, false, Restart, Status::Active, "all daemons", "Store files: 0 leave it to the system, 1 fdatasync, 2 fsync; -1 unset.";
    DB_TXN_SYNC: Count = "local.dbtxnsync", "0", 0, 1, false, Restart, Status::Active, "all daemons", "1 stops syncing each transaction of the mailbox list.";
    INDEX_SYNC_LEVEL: Count = "local.store.indexsynclevel", "-1", -1, 2, false, Restart, Status::Active, "all daemons", "The level of index files; -1 inherits local.store.synclevel.";
    CACHE_SYNC_LEVEL: Count = "local.store.cachesynclevel", "-1", -1, 2, false, Restart, Status::Active, "all daemons", "The level of cache files; -1 inherits local.store.synclevel.";
    USER_SYNC_LEVEL: Count = "local.store.usersynclevel", "-1", -1, 2, false, Restart, Status::Active, "all daemons", "The level of user files; -1 inherits local.store.synclevel.";
    SUBSCRIBE_SYNC_LEVEL: Count = "local.store.subscribesynclevel", "-1", -1, 2, false, Restart, Status::Active, "all daemons", "The level of subscribe files; -1 inherits local.store.synclevel.";
    EXPUNGE_SYNC_LEVEL: Count = "local.store.expungesynclevel", "-1", -1, 2, false, Restart, Status::Active, "all daemons", "The level of expunge files; -1 inherits local.store.synclevel.";
    MESSAGE_SYNC_LEVEL: Count = "local.store.messagesynclevel", "-1", -1, 2, false, Restart, Status::Active, "all daemons", "The level of message files; -1 inherits local.store.synclevel.";
    QUOTA_SYNC_LEVEL: Count = "local.store.quotasynclevel", "-1", -1, 2, false, Restart, Status::Active, "all daemons", "The level of quota files; -1 inherits local.store.synclevel.";
}
