//! The configuration tools, as an administrator runs them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use black_box::program;
use tempfile::TempDir;

/// A `local.conf` alone in a folder: the tools need no more of an instance.
struct Site(TempDir, String);

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("config")).unwrap();
        fs::write(folder.path().join("config/local.conf"), "").unwrap();
        let conf = folder.path().join("config/local.conf").to_str().unwrap().to_owned();
        Site(folder, conf)
    }

    fn conf(&self) -> &str {
        &self.1
    }

    fn config_root(&self) -> PathBuf {
        self.0.path().join("config")
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Output {
        Command::new(program(name)).env("CONFIGROOT", self.config_root()).args(arguments).output().unwrap()
    }

    fn ok(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.tool(name, arguments);
        assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.tool(name, arguments);
        assert!(!output.status.success(), "{name} {arguments:?} was accepted");
        String::from_utf8(output.stderr).unwrap()
    }

    fn value(&self, name: &str) -> String {
        self.ok("configutil", &["-o", name]).trim_end().to_owned()
    }

    /// Runs shell lines with the tools on the path.
    fn shell(&self, script: &str) -> Output {
        let tools = program("configutil");
        let path = format!("{}:{}", tools.parent().unwrap().display(), std::env::var("PATH").unwrap());
        Command::new("sh")
            .args(["-e", "-c", script])
            .env("PATH", path)
            .env("CONFIGROOT", self.config_root())
            .output()
            .unwrap()
    }
}

/// S64, S66: the guide's lines, word for word.
const RELAY: &str = "
    configutil -o service.http.enable -v no
    configutil -o service.imap.enable -v no
    configutil -o service.pop.enable -v no
    configutil -o service.ldapmemcache -v no
    configutil -o service.smtp.smtp-deliver.minruncount -v 130
    configutil -o service.smtp.smtp-accept.minruncount -v 140
    configutil -o service.smtp.smtp-router.minruncount -v 50
    configutil -o service.smtp.smtp-deliver.timeoutgreet -v 30
    configutil -o service.smtp.account-handler.minruncount -v 40
    configutil -o service.smtp.error-handler.minruncount -v 3
    configutil -o service.smtp.mailbox-deliver.minruncount -v 1
    configutil -o service.smtp.unix-deliver.minruncount -v 1
    configutil -o service.smtp.prog-deliver.minruncount -v 1
    configutil -o service.smtp.autoreply-handler.minruncount -v 1
    setconf local.dbtxnsync 1
    setconf local.service.smtp.smtp-accept.maxrecipients 250
";

#[test]
fn the_relay_recipe_of_the_guide_runs_word_for_word_and_reads_back() {
    let site = Site::new();
    let output = site.shell(RELAY);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = site.ok("configutil", &[]);
    for line in RELAY.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with('-')).collect();
        let (name, value) = (words[1], words[2]);
        assert_eq!(site.value(name), value, "{name}");
        assert!(listed.lines().any(|shown| shown == format!("{name} = {value}")), "{name} in {listed}");
    }
}

/// The profile file is the same recipe, and is imported as a whole.
#[test]
fn the_relay_profile_is_the_recipe() {
    let by_hand = Site::new();
    assert!(by_hand.shell(RELAY).status.success());
    let by_profile = Site::new();
    let profile = black_box::instance::top().join("etc/profiles/relay.conf");
    by_profile.ok("configutil", &["-i", profile.to_str().unwrap()]);
    let listing = |site: &Site| -> Vec<String> {
        let all = site.ok("configutil", &[]);
        all.lines().filter(|line| !line.starts_with("local.lastconfigfetch")).map(str::to_owned).collect()
    };
    assert_eq!(listing(&by_hand), listing(&by_profile));
}

#[test]
fn every_profile_is_accepted_whole() {
    for profile in fs::read_dir(black_box::instance::top().join("etc/profiles")).unwrap() {
        let profile = profile.unwrap().path();
        let site = Site::new();
        site.ok("configutil", &["-i", profile.to_str().unwrap()]);
        assert_eq!(site.ok("configutil", &["-f", site.conf(), "check"]), "OK\n", "{}", profile.display());
    }
}

/// S36: maxruncount is accepted, read back, and said to be ignored.
#[test]
fn maxruncount_is_accepted_and_explained_as_ignored() {
    let site = Site::new();
    site.ok("configutil", &["-o", "service.smtp.smtp-accept.maxruncount", "-v", "1"]);
    assert_eq!(site.value("service.smtp.smtp-accept.maxruncount"), "1");
    let explained = site.ok("configutil", &["explain", "service.smtp.smtp-accept.maxruncount"]);
    assert!(explained.contains("ignored"), "{explained}");
}

/// S20, S33, S40, S41, S48, S50, S51, S98, S102, S104, S127, S130, S146, S150: the guide's defaults.
#[test]
fn the_defaults_are_the_guides() {
    let site = Site::new();
    for (name, value) in [
        ("service.smtp.smtp-accept.minruncount", "32"),
        ("service.smtp.ldappoolsize", "32"),
        ("service.smtp.smtp-accept.timeoutcommand", "600"),
        ("service.smtp.smtp-accept.timeoutdata", "600"),
        ("local.service.smtp.smtp-accept.maxrecipients", "100000"),
        ("local.service.smtp.smtp-accept.maxmessages", "1000"),
        ("service.smtp.smtp-router.smtprewritestyle", "quoted"),
        ("service.smtp.error-handler.hopcountexceedactions", "14"),
        ("service.smtp.error-handler.quotaexceedactions", "1"),
        ("service.smtp.error-handler.unknownacctsactions", "13"),
        ("service.ldapmemcache", "no"),
        ("service.pop.maxthreads", "250"),
        ("service.imap.maxthreads", "250"),
        ("service.http.maxthreads", "250"),
        ("service.imap.numprocesses", "1"),
        ("service.pop.maxsessions", "600"),
        ("service.imap.maxsessions", "400"),
        ("service.http.maxsessions", "400"),
        ("service.pop.idletimeout", "10"),
        ("service.imap.idletimeout", "30"),
        ("service.http.idletimeout", "30"),
        ("service.http.ipsecurity", "yes"),
        ("service.authcachettl", "900"),
        ("service.authcachesize", "10000"),
        ("store.expirestart", "23"),
        ("store.cleanupage", "1"),
        ("local.store.synclevel", "1"),
        ("local.store.deadlock.checkinterval", "1000"),
    ] {
        assert_eq!(site.value(name), value, "{name}");
    }
    assert_eq!(site.value("local.service.smtp.throttlethreshold"), "", "S52: no value is stored");
}

/// S62: a value that begins with a dash.
#[test]
fn minus_one_is_a_value() {
    let site = Site::new();
    site.ok("configutil", &["-o", "service.smtp.dnscachesize", "-v", "-1"]);
    assert_eq!(site.value("service.smtp.dnscachesize"), "-1");
}

/// S65.
#[test]
fn setconf_getconf_and_configutil_see_the_same_file() {
    let site = Site::new();
    site.ok("setconf", &["local.dbtxnsync", "1"]);
    assert!(site.ok("getconf", &["local.dbtxnsync"]).contains('1'));
    assert!(site.ok("configutil", &[]).contains("local.dbtxnsync = 1\n"));
    site.ok("setconf", &["local.dbtxnsync", ""]);
    assert!(!site.ok("configutil", &[]).contains("local.dbtxnsync"));
}

/// S112: the 2 KB limit is gone.
#[test]
fn a_value_of_20_kilobytes_is_kept_whole() {
    let site = Site::new();
    let domains: Vec<String> = (0..1000).map(|n| format!("domain-{n:04}.mail.example")).collect();
    let value = domains.join(" ");
    assert!(value.len() > 20_000);
    site.ok("configutil", &["-o", "service.smtp.smtp-router.localmaildomains", "-v", &value]);
    assert_eq!(site.value("service.smtp.smtp-router.localmaildomains"), value);
}

/// S178: whenever a configuration utility runs.
#[test]
fn each_run_of_a_configuration_utility_is_noted() {
    let site = Site::new();
    let stamp = |offset: &str| {
        let run = Command::new(program("configutil"))
            .env("CONFIGROOT", site.config_root())
            .env("MAILBOAT_CLOCK_OFFSET", offset)
            .output()
            .unwrap();
        assert!(run.status.success());
        let text = fs::read_to_string(site.config_root().join("local.conf")).unwrap();
        let line = text.lines().find(|line| line.starts_with("local.lastconfigfetch")).unwrap().to_owned();
        line.split('=').nth(1).unwrap().trim().parse::<i64>().unwrap()
    };
    assert!(!site.ok("configutil", &["-l"]).contains("lastconfigfetch"), "it is nobody's setting");
    assert!(site.ok("configutil", &["-p", "local.last"]).starts_with("local.lastconfigfetch = "));
    assert!(site.value("local.lastconfigfetch").parse::<i64>().is_ok());
    let (first, second) = (stamp("0"), stamp("3600"));
    assert!((3600..3700).contains(&(second - first)), "{first} {second}");
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_and_a_bad_value_with_the_range() {
    let site = Site::new();
    let unknown = site.refused("configutil", &["-o", "service.imap.idletimout", "-v", "40"]);
    assert!(unknown.contains("did you mean service.imap.idletimeout?"), "{unknown}");
    assert_eq!(unknown.lines().count(), 1, "{unknown}");
    let range = site.refused("configutil", &["-o", "store.expirestart", "-v", "24"]);
    assert!(range.contains("0 to 23"), "{range}");
    let word = site.refused("configutil", &["-o", "logfile.imap.loglevel", "-v", "chatty"]);
    assert!(word.contains("Notice"), "{word}");
    let number = site.refused("configutil", &["-o", "service.imap.maxthreads", "-v", "many"]);
    assert!(number.contains("not a whole number"), "{number}");
    assert!(!site.ok("configutil", &[]).contains("service."), "nothing was written");
    site.refused("setconf", &["local.unheard.of", "1"]);
    site.ok("setconf", &["--force", "local.unheard.of", "1"]);
    assert!(site.ok("getconf", &["local.unheard.of"]).contains('1'));
}

#[test]
fn writers_at_once_lose_nothing() {
    let site = Site::new();
    let names = ["imap", "pop", "http"];
    std::thread::scope(|scope| {
        for service in names {
            let site = &site;
            scope.spawn(move || {
                for (name, value) in [("maxthreads", "50"), ("maxsessions", "5000"), ("numprocesses", "2")] {
                    site.ok("configutil", &["-o", &format!("service.{service}.{name}"), "-v", value]);
                }
            });
        }
    });
    let listed = site.ok("configutil", &["-p", "service."]);
    assert_eq!(listed.lines().count(), 9, "{listed}");
}

#[test]
fn check_names_the_line_and_diff_lists_what_differs() {
    let site = Site::new();
    let conf = site.config_root().join("local.conf");
    fs::write(&conf, "# ours\nservice.imap.maxthreads = 250\nservice.pop.maxthreads = 7\n").unwrap();
    assert_eq!(site.ok("configutil", &["diff"]), "service.pop.maxthreads = 7\n");
    fs::write(&conf, "service.pop.maxthreads = 7\nnonsense\n").unwrap();
    let broken = site.refused("configutil", &["-f", site.conf(), "check"]);
    assert!(broken.contains("line 2"), "{broken}");
    fs::write(&conf, "service.pop.maxthreads = 0\n").unwrap();
    let range = site.refused("configutil", &["-f", site.conf(), "check"]);
    assert!(range.contains("service.pop.maxthreads") && range.contains("1 to 10000"), "{range}");
    fs::write(&conf, "service.pop.maxthread = 7\n").unwrap();
    let unknown = site.refused("configutil", &["-f", site.conf(), "check"]);
    assert!(unknown.contains("did you mean service.pop.maxthreads?"), "{unknown}");
}

/// What one must know beside `OK SET` stands on standard error.
#[test]
fn a_setting_says_when_it_counts_and_what_it_counts_as() {
    let site = Site::new();
    let notices = |name: &str, value: &str| {
        let output = site.tool("configutil", &["-o", name, "-v", value]);
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "OK SET\n");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(notices("service.imap.maxsessions", "5000").contains("at a restart: stop-msg, start-msg"));
    assert!(notices("service.imap.idletimeout", "2").contains("2 counts as 30"));
    assert!(notices("service.imap.banner", "hello").contains("at a refresh: refresh-msg"));
    assert_eq!(notices("service.imap.banner", "hello"), "", "nothing has changed");
    assert!(notices("service.imap.maxsessions", "").contains("back to its default, 400"));
    assert!(
        notices("service.http.resourcetimeout", "8080")
            .contains("idletimeout and sessiontimeout say how long")
    );
    let wild = notices("service.acme.names", "mail.example.org *.example.org");
    assert!(wild.contains("http-01, which has no '*'"), "{wild}");
    notices("service.acme.names", "");
    let before = fs::read_to_string(site.conf()).unwrap();
    for tool in [
        &["configutil", "-o", "service.imap.port", "-v", "110"][..],
        &["setconf", "service.imap.port", "110"],
    ] {
        let refused = site.refused(tool[0], &tool[1..]);
        assert!(
            refused.contains("service.pop.port and service.imap.port would both be 110; nothing was set"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(site.conf()).unwrap(), before);
    }
    assert!(site.tool("setconf", &["--force", "service.imap.port", "110"]).status.success());
    let checked = site.refused("configutil", &["-f", site.conf(), "check"]);
    assert!(checked.contains("are both 110"), "{checked}");
    fs::write(site.conf(), "service.imap.maxsesions = 7\n").unwrap();
    assert!(notices("service.pop.maxsessions", "700").contains("did you mean service.imap.maxsessions?"));
}

#[test]
fn a_folder_that_is_no_instance_is_refused_by_all_tools() {
    let site = Site::new();
    let root = site.0.path().to_str().unwrap();
    let run = |name: &str, arguments: &[&str], config_root: &str| {
        let mut command = Command::new(program(name));
        let output = command.args(arguments).env("CONFIGROOT", config_root).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    for (tool, arguments) in [
        ("configutil", &["check"][..]),
        ("configutil", &["-o", "service.imap.port", "-v", "1143"]),
        ("mailq", &[]),
    ] {
        let (done, said) = run(tool, arguments, "/nonexistent/config");
        assert!(!done && said.contains("CONFIGROOT=/nonexistent/config"), "{tool}: {said}");
        let (done, said) = run(tool, arguments, root);
        assert!(!done && said.contains(&format!("did you mean {root}/config?")), "{tool}: {said}");
        let (done, said) = run(tool, arguments, "");
        assert!(!done && said.contains("which instance?"), "{tool}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn parameters_are_found_by_a_part_of_their_names() {
    let site = Site::new();
    let found = site.ok("configutil", &["explain", "maxsessions"]);
    assert_eq!(found.lines().count(), 3, "{found}");
    assert!(found.contains("service.imap.maxsessions  "), "{found}");
    assert!(site.ok("configutil", &["explain", "service.imap"]).lines().count() > 10);
    assert!(site.ok("configutil", &["explain"]).lines().count() > 100);
    assert!(!site.refused("configutil", &["explain", "service.imap.nix"]).contains("did you mean"));
    let near = site.refused("configutil", &["explain", "service.imap.maxsesions"]);
    assert!(near.contains("did you mean service.imap.maxsessions or "), "{near}");
    let near = site.refused("configutil", &["explain", "maxsesions"]);
    assert!(near.contains("service.imap.maxsessions") && near.contains("service.pop.maxsessions"), "{near}");
    let misspelt = site.refused("configutil", &["-o", "service.imap.maxsesions"]);
    assert!(misspelt.contains("did you mean service.imap.maxsessions?"), "{misspelt}");
    for arguments in [&["set", "service.imap.port", "1"][..], &["service.imap.port"]] {
        let said = site.refused("configutil", arguments);
        assert!(said.contains("configutil -o NAME -v VALUE"), "{said}");
    }
}

#[test]
fn an_import_with_a_wrong_line_names_it_and_sets_nothing() {
    let site = Site::new();
    let batch = site.0.path().join("batch");
    fs::write(&batch, "service.imap.maxthreads = 9\n\nservice.pop.maxthreads = 0\n").unwrap();
    let said = site.refused("configutil", &["-i", batch.to_str().unwrap()]);
    assert!(said.contains("line 3: service.pop.maxthreads") && said.contains("nothing was set"), "{said}");
    assert_eq!(site.value("service.imap.maxthreads"), "250");
}

/// The whole instance: what its parameters lead to is looked at too.
#[test]
fn check_looks_at_the_directory_and_the_certificate() {
    let instance = black_box::Setup::default().create();
    let check = || {
        let output = instance.tool("configutil").arg("check").output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    assert_eq!(check(), (true, "OK\n".into()));
    let replaced = |path: &str, text: &[u8]| {
        let path = instance.path(path);
        let good = fs::read(&path).unwrap();
        if text.is_empty() {
            fs::remove_file(&path).unwrap()
        } else {
            fs::write(&path, text).unwrap()
        }
        let said = check();
        fs::write(&path, good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        said
    };
    let (good, said) = replaced("config/certs/server.key", b"");
    assert!(!good && said.contains("server.key: No such file"), "{said}");
    let (good, said) = replaced("config/certs/server.crt", b"nonsense");
    assert!(!good && said.contains("server.crt: there is no PEM text"), "{said}");
    let (good, said) = replaced("config/directory.ldif", b"");
    assert!(!good && said.contains("directory.ldif: No such file"), "{said}");
    let ldif = fs::read_to_string(instance.path("config/directory.ldif")).unwrap();
    let (good, said) = replaced("config/directory.ldif", format!("{ldif}\nnonsense\n").as_bytes());
    assert!(!good && said.contains("directory.ldif line ") && !said.contains("answer"), "{said}");
    let nobody = ldif.replace("mail: postmaster@", "mail: master@");
    let (good, said) = replaced("config/directory.ldif", nobody.as_bytes());
    assert!(!good && said.contains("dirutil add user postmaster"), "{said}");
    let twice =
        format!("{ldif}dn: uid=eve\nobjectClass: mailRecipient\nuid: eve\nmail: bob@example.test\nuuid: x\n");
    let (good, said) = replaced("config/directory.ldif", twice.as_bytes());
    assert!(good && said.contains("2 entries have the address bob@example.test"), "{said}");
    assert!(said.contains("uuid: no such attribute; did you mean uid?"), "{said}");
}

#[test]
fn comments_survive_a_change() {
    let site = Site::new();
    let conf = site.config_root().join("local.conf");
    fs::write(&conf, "# who to ask: the mail team\nservice.pop.maxthreads = 7\n").unwrap();
    site.ok("configutil", &["-o", "service.pop.maxthreads", "-v", "8"]);
    let text = fs::read_to_string(Path::new(&conf)).unwrap();
    assert!(text.starts_with("# who to ask: the mail team\n"), "{text}");
    assert!(text.contains("service.pop.maxthreads = 8\n"), "{text}");
}
