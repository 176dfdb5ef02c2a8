//! Signatures as python3-dkim from Debian sees them.

use std::io::Write;
use std::process::{Command, Stdio};

const SCRIPT: &str = r#"
import sys, dkim
records = dict(line.rstrip('\n').split(' ', 1) for line in open(sys.argv[1], encoding='utf-8'))
message = sys.stdin.buffer.read()
def txt(name, timeout=5):
    record = records.get(name.decode().rstrip('.').lower())
    return record.encode() if record is not None else None
def safe(act):
    try:
        return act()
    except Exception as why:
        return 'error: %s' % why
for index, value in enumerate(v for n, v in dkim.DKIM(message).headers if n.lower() == b'dkim-signature'):
    tags = dict(tag.split('=', 1) for tag in ''.join(value.decode().split()).rstrip(';').split(';'))
    verdict = safe(lambda: dkim.DKIM(message).verify(index, dnsfunc=txt))
    print('dkim', tags['d'], tags['s'], 'pass' if verdict is True else 'fail')
verdict = safe(lambda: dkim.arc_verify(message, dnsfunc=txt))
# A chain that says of itself that it has failed has no verdict.
print('arc', (verdict[0] or b'fail').decode() if isinstance(verdict, tuple) else verdict)
"#;

/// One line for each DKIM signature, `dkim <domain> <selector> pass` or `fail`, and `arc none`, `arc pass` or `arc fail`.
/// `records` are TXT records: name and text.
pub fn look(message: &[u8], records: &[(String, String)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let zone = folder.path().join("zone");
    let lines: String = records.iter().map(|(name, text)| format!("{name} {text}\n")).collect();
    std::fs::write(&zone, lines).unwrap();
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", SCRIPT])
        .arg(&zone)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3-dkim is needed: scripts/packages");
    child.stdin.take().unwrap().write_all(message).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "python3-dkim (scripts/packages)");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What `dkimutil` printed for a zone file: name and text of each record, its strings put together.
pub fn records(printed: &str) -> Vec<(String, String)> {
    let mut records: Vec<(String, String)> = Vec::new();
    for line in printed.lines() {
        if let Some((name, _)) = line.split_once(". IN TXT (") {
            records.push((name.to_owned(), String::new()));
        }
        if let (Some((_, text)), true) = (records.last_mut(), line.contains('"')) {
            line.split('"').skip(1).step_by(2).for_each(|string| {
                assert!(string.len() <= 255, "{string}");
                text.push_str(string);
            });
        }
    }
    records
}
