//! Site-wide settings.

parameters! {
    SITE_LANGUAGE: Text = "gen.sitelanguage", "en", 0, 0, false, Restart, Status::NotYet("reply languages"), "smtpd", "The language of the site.";
    ALARM: Text = "alarm.*", "", 0, 0, false, Restart, Status::NotYet("alarms"), "stored", "A setting of the alarms.";
    ALARM_OF: Text = "alarm.*.*", "", 0, 0, false, Restart, Status::NotYet("alarms"), "stored", "A setting of one alarm.";
}
