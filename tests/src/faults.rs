//! Disks that fail: a library that is preloaded into the daemons and lets the n-th write, sync, or making of a name in
//! store and queue fail (`faults/shim.c`).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Instance, Setup, run};

/// Bytes of the shim's `struct control`, and where its parts are.
const CONTROL_BYTES: u64 = 20 + 64 + 256;
const COUNT_AT: u64 = 12;
const FIRED_AT: u64 = 16;
const ONLY_AT: u64 = 20;
const WHAT_AT: u64 = 84;

/// What a call that fails says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub error: nix::errno::Errno,
    /// Every matching call from then on fails, too, as on a full disk.
    pub lasting: bool,
}

/// The switch.
pub struct Faults {
    control: File,
    _folder: tempfile::TempDir,
}

/// The library, made once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/faults/shim.c");
        run(Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&path).arg(source).arg("-ldl"));
        (folder, path)
    });
    path
}

impl Faults {
    /// An instance whose daemons and tools have the library in them; nothing fails yet.
    pub fn start(setup: Setup) -> (Instance, Faults) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        fs::write(&path, vec![0; CONTROL_BYTES as usize]).unwrap();
        let mut instance = setup.create();
        for (name, value) in [
            ("FAULTS_CONTROL", path.as_path()),
            ("FAULTS_BELOW", &instance.root.canonicalize().unwrap()),
            ("LD_PRELOAD", library()),
        ] {
            instance.set_environment(name, value.to_str().unwrap());
        }
        instance.start_all();
        let control = OpenOptions::new().read(true).write(true).open(path).unwrap();
        (instance, Faults { control, _folder: folder })
    }

    fn number(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.control.read_exact_at(&mut bytes, at).unwrap();
        u32::from_le_bytes(bytes)
    }

    /// From now on the `nth` matching call fails; `only`: a part of the path, or nothing.
    pub fn arm(&self, nth: u32, fault: Fault, only: &str) {
        let mut bytes = vec![0; CONTROL_BYTES as usize];
        bytes[4..8].copy_from_slice(&(fault.error as u32).to_le_bytes());
        bytes[8..12].copy_from_slice(&u32::from(fault.lasting).to_le_bytes());
        bytes[ONLY_AT as usize..ONLY_AT as usize + only.len()].copy_from_slice(only.as_bytes());
        self.control.write_all_at(&bytes, 0).unwrap();
        self.control.write_all_at(&nth.to_le_bytes(), 0).unwrap();
    }

    /// Nothing fails any more. What failed first, if anything did.
    pub fn disarm(&self) -> Option<String> {
        self.control.write_all_at(&[0; 4], 0).unwrap();
        let mut what = [0; 256];
        self.control.read_exact_at(&mut what, WHAT_AT).unwrap();
        let length = what.iter().position(|byte| *byte == 0).unwrap_or(what.len());
        let text = String::from_utf8_lossy(&what[..length]).into_owned();
        (self.fired() > 0).then_some(text)
    }

    /// Nothing fails until [`Faults::resume`], and nothing is counted. What it is to be resumed with.
    pub fn pause(&self) -> u32 {
        let nth = self.number(0);
        self.control.write_all_at(&[0; 4], 0).unwrap();
        nth
    }

    pub fn resume(&self, nth: u32) {
        self.control.write_all_at(&nth.to_le_bytes(), 0).unwrap();
    }

    /// Calls that failed since it was armed.
    pub fn fired(&self) -> u32 {
        self.number(FIRED_AT)
    }

    /// Matching calls since it was armed.
    pub fn calls(&self) -> u32 {
        self.number(COUNT_AT)
    }
}
