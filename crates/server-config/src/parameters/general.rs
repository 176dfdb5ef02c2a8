//! Site-wide settings, alarms, SNMP.

parameters! {
    SITE_LANGUAGE: Text = "gen.sitelanguage", "en", 0, 0, false, Restart, Status::Active, "smtpd", "The language of the site.";
    INSTALLED_LANGUAGES: Text = "gen.installedlanguages", "en", 0, 0, false, Restart, Status::Ignored("a language is there when there is a text in it"), "nobody", "Languages that have texts.";
    ACCOUNT_URL: Text = "gen.accounturl", "", 0, 0, false, NextConnection, Status::Active, "imapd", "The page of a user's account, which clients of the original's family (Thunderbird) open from a menu; %u is the user.";
    FOLDER_URL: Text = "gen.folderurl", "", 0, 0, false, NextConnection, Status::Active, "imapd", "The page of one mailbox, for such clients; %u is the user, %m the mailbox.";
    FILTER_URL: Text = "gen.filterurl", "", 0, 0, false, NextConnection, Status::Active, "imapd", "The page of a user's filters, for such clients; %u is the user.";
    LIST_URL: Text = "gen.listurl", "", 0, 0, false, NextConnection, Status::Active, "imapd", "The page of mailing lists, for such clients; %u is the user.";
    CONFIG_VERSION: Text = "gen.configversion", "", 0, 0, false, Restart, Status::Ignored("there is one version"), "nobody", "The version of the configuration.";
    ALARM_HOST: Text = "alarm.msgalarmnoticehost", "localhost", 0, 0, false, Restart, Status::NotYet("alarms"), "stored", "Where alarm mail is submitted.";
    ALARM_PORT: Port = "alarm.msgalarmnoticeport", "25", 0, 65535, false, Restart, Status::NotYet("alarms"), "stored", "The port there.";
    ALARM_RCPT: Text = "alarm.msgalarmnoticercpt", "Postmaster@localhost", 0, 0, false, Restart, Status::NotYet("alarms"), "stored", "Who gets alarm mail.";
    ALARM_SENDER: Text = "alarm.msgalarmnoticesender", "Postmaster@localhost", 0, 0, false, Restart, Status::NotYet("alarms"), "stored", "Who sends alarm mail.";
    ALARM_TEMPLATE: Text = "alarm.msgalarmnoticetemplate", "", 0, 0, false, Restart, Status::NotYet("alarms"), "stored", "The text of alarm mail.";
    ALARM_DESCRIPTION: Text = "alarm.*.msgalarmdescription", "", 0, 0, false, Restart, Status::NotYet("alarms"), "stored", "What the alarm watches, in words.";
    ALARM_INTERVAL: Seconds = "alarm.*.msgalarmstatinterval", "3600", 0, 31536000, false, Restart, Status::NotYet("alarms"), "stored", "The time between two looks; 0 is off.";
    ALARM_THRESHOLD: Count = "alarm.*.msgalarmthreshold", "10", 0, i64::MAX, false, Restart, Status::NotYet("alarms"), "stored", "The value at which it warns.";
    ALARM_DIRECTION: Count = "alarm.*.msgalarmthresholddirection", "-1", -1, 1, false, Restart, Status::NotYet("alarms"), "stored", "-1 warns below the threshold, 1 above.";
    ALARM_WARNING: Hours = "alarm.*.msgalarmwarninginterval", "24", 0, 87600, false, Restart, Status::NotYet("alarms"), "stored", "The least time between two warnings.";
    SNMP_ENABLE: Text = "snmp.enable", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_CONTACT: Text = "snmp.contact", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_DESCRIPTION: Text = "snmp.description", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_LOCATION: Text = "snmp.location", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_ORGANIZATION: Text = "snmp.organization", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_MASTERHOST: Text = "snmp.masterhost", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_MASTERPORT: Text = "snmp.masterport", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_COLLECTIONDELTATIME: Text = "snmp.collectiondeltatime", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
}
