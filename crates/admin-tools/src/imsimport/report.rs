//! What came of an import: counts, and what is wrong, by place.

/// Lines about one folder at most; the rest is counted.
const LINES_MAX: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub folders: u64,
    pub made: u64,
    /// Messages of the source.
    pub messages: u64,
    pub taken: u64,
    pub kept_uids: u64,
    /// Were here, by their bytes.
    pub recognised: u64,
    pub flags_changed: u64,
    pub expunged: u64,
    /// With `-n`: would come.
    pub missing: u64,
    /// Came once, not at the source any more, still here.
    pub gone: u64,
    pub removed_here: u64,
    pub changed_here: u64,
    pub differences: u64,
    pub failed: u64,
    pub lines: Vec<String>,
}

impl Report {
    fn line(&mut self, text: String) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(text);
        } else if self.lines.len() == LINES_MAX {
            self.lines.push("more of this is only counted".into());
        }
    }

    /// Something could not be read or taken.
    pub fn fail(&mut self, text: impl Into<String>) {
        self.failed += 1;
        self.line(text.into());
    }

    /// Something is here, and other than there.
    pub fn differ(&mut self, text: &str) {
        self.differences += 1;
        self.line(text.to_owned());
    }

    /// Adds the counts of another; its lines were said.
    pub fn add(&mut self, other: &Report) {
        let all: [(&mut u64, u64); 14] = [
            (&mut self.folders, other.folders),
            (&mut self.made, other.made),
            (&mut self.messages, other.messages),
            (&mut self.taken, other.taken),
            (&mut self.kept_uids, other.kept_uids),
            (&mut self.recognised, other.recognised),
            (&mut self.flags_changed, other.flags_changed),
            (&mut self.expunged, other.expunged),
            (&mut self.missing, other.missing),
            (&mut self.gone, other.gone),
            (&mut self.removed_here, other.removed_here),
            (&mut self.changed_here, other.changed_here),
            (&mut self.differences, other.differences),
            (&mut self.failed, other.failed),
        ];
        all.into_iter().for_each(|(sum, one)| *sum += one);
    }

    /// Whether everything that the source has is here as it is there.
    pub fn is_clean(&self) -> bool {
        self.differences + self.failed + self.missing == 0
    }

    /// `17 messages: 3 taken (3 with their UIDs), 1 was here; 2 flags changed; 0 differences, 0 errors`
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} folders, {} messages: {} taken ({} with their UIDs), {} were here already, {} got other flags",
            self.folders, self.messages, self.taken, self.kept_uids, self.recognised, self.flags_changed
        );
        for (count, what) in [
            (self.missing, "would come"),
            (self.expunged, "expunged as at the source"),
            (self.gone, "gone at the source, kept here"),
            (self.removed_here, "removed here since"),
            (self.changed_here, "changed here since"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        format!("{text}; {} differences, {} errors", self.differences, self.failed)
    }
}
