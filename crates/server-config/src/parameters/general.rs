//! Site-wide settings, alarms, SNMP.

parameters! {
    SITE_LANGUAGE: Text = "gen.sitelanguage", "en", 0, 0, false, Restart, Status::Active, "smtpd", "The language of the site.";
    INSTALLED_LANGUAGES: Text = "gen.installedlanguages", "en", 0, 0, false, Restart, Status::Ignored("a language is there when there is a text in it"), "nobody", "Languages that have texts.";
    ACCOUNT_URL: Text = "gen.accounturl", "", 0, 0, false, NextConnection, Status::Active, "imapd", "The page of a user's account, which clients of the original's family (Thunderbird) open from a menu; %u is the user.";
    FOLDER_URL: Text = "gen.folderurl", "", 0, 0, false, NextConnection, Status::Active, "imapd", "The page of one mailbox, for such clients; %u is the user, %m the mailbox.";
    FILTER_URL: Text = "gen.filterurl", "", 0, 0, false, NextConnection, Status::Active, "imapd", "The page of a user's filters, for such clients; %u is the user.";
    LIST_URL: Text = "gen.listurl", "", 0, 0, false, NextConnection, Status::Active, "imapd", "The page of mailing lists, for such clients; %u is the user.";
    CONFIG_VERSION: Text = "gen.configversion", "", 0, 0, false, Restart, Status::Ignored("there is one version"), "nobody", "The version of the configuration.";
    ALARM_HOST: Text = "alarm.msgalarmnoticehost", "localhost", 0, 0, false, Restart, Status::Active, "stored", "The mail server that takes the mail of alarms. While neither it nor the port is set, it is this instance's smtpd, at the port of that (service.smtp.port), whatever stands as default.";
    ALARM_PORT: Port = "alarm.msgalarmnoticeport", "25", 1, 65535, false, Restart, Status::Active, "stored", "The port there.";
    ALARM_RCPT: MailAddress = "alarm.msgalarmnoticercpt", "", 0, 0, false, Restart, Status::Active, "stored", "Who gets the mail of alarms; unset is the postmaster of service.smtp.defaultdomain, else of local.hostname.";
    ALARM_SENDER: MailAddress = "alarm.msgalarmnoticesender", "", 0, 0, false, Restart, Status::Active, "stored", "Whom it is from; unset as for alarm.msgalarmnoticercpt.";
    ALARM_TEMPLATE: Text = "alarm.msgalarmnoticetemplate", "", 0, 0, false, Restart, Status::Active, "stored", "The mail, \\n being a line end: header fields, an empty line, the text. Each %s or %u is the next of sender, recipient, description, instance, value, text; %% is a per cent sign. Without header fields it is the text. Unset: fields and text of its own.";
    DISK_DESCRIPTION: Text = "alarm.diskavail.msgalarmdescription", "percentage of disk space available for mail", 0, 0, false, Restart, Status::Active, "stored", "What is watched, in words, for the log and the subject of the mail.";
    DISK_INTERVAL: Seconds = "alarm.diskavail.msgalarmstatinterval", "3600", 0, 31536000, false, Restart, Status::Active, "stored", "The time between two looks at the disks of queue and partitions; 0 is off.";
    DISK_THRESHOLD: Count = "alarm.diskavail.msgalarmthreshold", "10", 0, 100, false, Restart, Status::Active, "stored", "Percent free of a file system, beyond which stored warns.";
    DISK_DIRECTION: Count = "alarm.diskavail.msgalarmthresholddirection", "-1", -1, 1, false, Restart, Status::Active, "stored", "-1 warns below the threshold, 1 above, 0 never.";
    DISK_WARNING: Hours = "alarm.diskavail.msgalarmwarninginterval", "24", 0, 87600, false, Restart, Status::Active, "stored", "The least time between two warnings about the same file system, over restarts; 0 is each look.";
    RESPONSE_DESCRIPTION: Text = "alarm.serverresponse.msgalarmdescription", "server response time in seconds", 0, 0, false, Restart, Status::Active, "stored", "What is watched, in words, for the log and the subject of the mail.";
    RESPONSE_INTERVAL: Seconds = "alarm.serverresponse.msgalarmstatinterval", "600", 0, 31536000, false, Restart, Status::Active, "stored", "The time between two looks at how soon the services answer; 0 is off.";
    RESPONSE_THRESHOLD: Count = "alarm.serverresponse.msgalarmthreshold", "10", 0, 3600, false, Restart, Status::Active, "stored", "Seconds to an answer, beyond which stored warns.";
    RESPONSE_DIRECTION: Count = "alarm.serverresponse.msgalarmthresholddirection", "1", -1, 1, false, Restart, Status::Active, "stored", "-1 warns below the threshold, 1 above, 0 never.";
    RESPONSE_WARNING: Hours = "alarm.serverresponse.msgalarmwarninginterval", "24", 0, 87600, false, Restart, Status::Active, "stored", "The least time between two warnings about the same service, over restarts; 0 is each look.";
    SNMP_ENABLE: Text = "snmp.enable", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_CONTACT: Text = "snmp.contact", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_DESCRIPTION: Text = "snmp.description", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_LOCATION: Text = "snmp.location", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_ORGANIZATION: Text = "snmp.organization", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_MASTERHOST: Text = "snmp.masterhost", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_MASTERPORT: Text = "snmp.masterport", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
    SNMP_COLLECTIONDELTATIME: Text = "snmp.collectiondeltatime", "", 0, 0, false, Restart, Status::Ignored("no SNMP agent is built in; counterutil shows the counters"), "nobody", "A setting of the original's SNMP agent.";
}
