//! scripts/quickstart: what it makes, what it refuses, and what it never deletes. With the programs that are built already.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use black_box::instance::{program, top};

fn quickstart(arguments: &[&str]) -> Output {
    let mut command = Command::new(top().join("scripts/quickstart"));
    command.arg("--bindir").arg(program("stored").parent().unwrap()).args(arguments);
    command.env_remove("CONFIGROOT").output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ok(arguments: &[&str]) -> String {
    let output = quickstart(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    text(&output)
}

fn refused(arguments: &[&str]) -> String {
    let output = quickstart(arguments);
    assert!(!output.status.success(), "{arguments:?} was accepted: {}", text(&output));
    let said = text(&output);
    assert!(!said.contains("Traceback"), "{said}");
    said
}

/// Stops what a failed test left.
struct Stop<'a>(&'a Path);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        if self.0.join("config/local.conf").exists() {
            let mut stop = Command::new(top().join("scripts/stop-msg"));
            stop.env("BINDIR", program("stored").parent().unwrap()).arg("--instance").arg(self.0);
            let _ = stop.output();
        }
    }
}

/// A path with a blank and a quote; the lines of connect.env work in a shell; a changed password is one line; a reset
/// deletes what quickstart made and nothing else.
#[test]
fn an_instance_lives_in_any_folder_and_a_reset_deletes_nothing_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let instance = folder.path().join("three 'o four");
    let named = instance.to_str().unwrap();
    let _stop = Stop(&instance);
    let said = ok(&["--instance", named]);
    assert!(said.contains("read back over IMAP and POP") && said.contains("SMTP submission"), "{said}");
    assert!(said.contains("postmaster"), "{said}");
    assert_eq!(said.contains("local.serveruid is unset: "), nix::unistd::geteuid().is_root(), "{said}");
    let env = instance.join("run/connect.env");
    let shell = |script: &str| {
        let output = Command::new("sh").args(["-ec", script]).arg("sh").arg(&env).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(shell(". \"$1\"; printf %s \"$CONFIGROOT\"").as_str(), format!("{named}/config"));
    assert_eq!(shell(". \"$1\"; \"$BINDIR/configutil\" -o service.smtp.domain"), "example.test\n");

    let again = ok(&["--instance", named, "--root-ports"]);
    assert!(again.contains("keeps its ports") && again.contains("already running"), "{again}");

    let tool = |name: &str, arguments: &[&str]| {
        let output =
            Command::new(program(name)).args(arguments).args(["--instance", named]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    };
    tool("dirutil", &["password", "bob"]);
    let changed = refused(&["--instance", named]);
    assert!(changed.contains("connect.env") && changed.contains("SMTP submission"), "{changed}");

    assert!(refused(&["--instance", named, "--stop", "--reset"]).contains("two things"));
    assert!(instance.join("store").exists());
    assert!(ok(&["--instance", named, "--stop"]).contains("Stopping IMAP"));
    assert!(ok(&["--instance", named, "--stop"]).contains("was not running"));
    fs::write(instance.join("diary"), "mine").unwrap();
    let reset = ok(&["--instance", named, "--reset"]);
    assert!(reset.contains("diary"), "{reset}");
    assert_eq!(fs::read_to_string(instance.join("diary")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&instance).unwrap().count(), 1);
}

#[test]
fn a_folder_that_holds_something_else_is_neither_taken_nor_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().to_str().unwrap();
    fs::write(folder.path().join("letters"), "mine").unwrap();
    let said = refused(&["--instance", named]);
    assert!(said.contains("not empty"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
    assert!(refused(&["--instance", named, "--reset"]).contains("no instance"));
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::write(folder.path().join("config/local.conf"), "").unwrap();
    assert!(refused(&["--instance", named, "--reset"]).contains("not made by quickstart"));
    assert!(folder.path().join("config/local.conf").exists() && folder.path().join("letters").exists());
}

/// Without a terminal there is a line at the start of the build, and further ones while it goes on; its failure is ours.
#[test]
fn a_build_without_a_terminal_says_that_it_goes_on() {
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let build = format!(
        "n=0; while [ ! -e '{}' ] && [ $n -lt 3000 ]; do n=$((n + 1)); /bin/sleep 0.1; done; exit 7",
        done.display()
    );
    for (name, script) in
        [("cargo", build.as_str()), ("sleep", "exit 0"), ("dpkg-query", "echo install ok installed")]
    {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(top().join("scripts/quickstart"));
    command.arg("--instance").arg(folder.path().join("instance")).env("PATH", path).env_remove("CONFIGROOT");
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("Building")), "nothing at the start");
    assert!(lines.any(|line| line == "Still building, after 30 seconds"), "nothing while it goes on");
    fs::write(&done, "").unwrap();
    assert!(!lines.any(|line| line.starts_with("Creating")));
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn a_wrong_argument_is_named() {
    let said = refused(&["--instanz", "x"]);
    assert!(said.contains("no such argument: --instanz"), "{said}");
    assert!(refused(&["--instance"]).contains("--instance needs a folder"));
}

/// msg-setup by itself: the folder is the instance's own, and marked.
#[test]
fn an_instance_is_set_up_in_an_empty_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    let set_up = |name: &str| {
        let root = folder.path().join(name);
        let output = Command::new(program("msg-setup"))
            .args(["--domain", "example.test", "--hostname", "localhost", "--instance"])
            .arg(root)
            .output()
            .unwrap();
        (output.status.success(), text(&output))
    };
    fs::create_dir_all(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/letters"), "mine").unwrap();
    let (made, said) = set_up("full");
    assert!(!made && said.contains("'letters' is there") && said.lines().count() == 1, "{said}");
    fs::create_dir_all(folder.path().join("disk/lost+found")).unwrap();
    assert!(set_up("disk").0);
    assert!(folder.path().join("disk/.mailboat-instance").exists());
    let (made, said) = set_up("disk");
    assert!(!made && said.contains("already"), "{said}");
    fs::remove_file(folder.path().join("disk/config/local.conf")).unwrap();
    let (made, said) = set_up("disk");
    assert!(!made && said.contains("not finished"), "{said}");
}

/// An MX made from the wrong folder would verify nothing, and nobody would see it.
#[test]
fn a_profile_that_cannot_be_read_makes_no_instance() {
    let folder = tempfile::tempdir().unwrap();
    let (root, profile) = (folder.path().join("instance"), folder.path().join("etc/profiles/mx.conf"));
    let output = Command::new(program("msg-setup"))
        .args(["--domain", "example.test", "--hostname", "localhost", "--instance"])
        .arg(&root)
        .arg("--profile")
        .arg(&profile)
        .output()
        .unwrap();
    let said = text(&output);
    assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(said.contains("--profile") && said.contains("mx.conf: No such file"), "{said}");
    assert!(!root.exists());
}
