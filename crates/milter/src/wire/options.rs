//! Option negotiation: what either side can do, and which macros the filter wants at which stage.

use super::{Malformed, take_number, take_string};

/// The version spoken here.
pub const VERSION: u32 = 6;
/// The oldest version of a filter that is understood: sendmail's first public one.
pub const VERSION_MIN: u32 = 2;

/// Modifications that a filter may ask for (`SMFIF_*`).
pub mod actions {
    pub const ADD_HEADERS: u32 = 0x01;
    pub const CHANGE_BODY: u32 = 0x02;
    pub const ADD_RECIPIENTS: u32 = 0x04;
    pub const DELETE_RECIPIENTS: u32 = 0x08;
    pub const CHANGE_HEADERS: u32 = 0x10;
    pub const QUARANTINE: u32 = 0x20;
    pub const CHANGE_SENDER: u32 = 0x40;
    pub const ADD_RECIPIENTS_WITH_ARGUMENTS: u32 = 0x80;
    pub const SET_MACROS: u32 = 0x100;
    pub const ALL: u32 = 0x1ff;
}

/// Steps that are left out (`SMFIP_NO*`), that are not replied to (`SMFIP_NR_*`), and what else was agreed.
pub mod protocol {
    pub const NO_CONNECT: u32 = 0x01;
    pub const NO_HELO: u32 = 0x02;
    pub const NO_MAIL: u32 = 0x04;
    pub const NO_RCPT: u32 = 0x08;
    pub const NO_BODY: u32 = 0x10;
    pub const NO_HEADERS: u32 = 0x20;
    pub const NO_END_OF_HEADER: u32 = 0x40;
    pub const NR_HEADER: u32 = 0x80;
    pub const NO_UNKNOWN: u32 = 0x100;
    pub const NO_DATA: u32 = 0x200;
    /// The filter may say that it needs no more of the body.
    pub const SKIP: u32 = 0x400;
    /// The filter wants to see recipients that were refused.
    pub const RCPT_REJECTED: u32 = 0x800;
    pub const NR_CONNECT: u32 = 0x1000;
    pub const NR_HELO: u32 = 0x2000;
    pub const NR_MAIL: u32 = 0x4000;
    pub const NR_RCPT: u32 = 0x8000;
    pub const NR_DATA: u32 = 0x1_0000;
    pub const NR_UNKNOWN: u32 = 0x2_0000;
    pub const NR_END_OF_HEADER: u32 = 0x4_0000;
    pub const NR_BODY: u32 = 0x8_0000;
    /// Values of header fields come and go with the blank behind the colon.
    pub const HEADER_LEADING_SPACE: u32 = 0x10_0000;
    /// Packets of 256 KiB and of 1 MiB of data.
    pub const MDS_256K: u32 = 0x1000_0000;
    pub const MDS_1M: u32 = 0x2000_0000;
    pub const ALL: u32 = 0x1f_ffff | MDS_256K | MDS_1M;
}

/// When macros are sent, with the number under which a filter asks for those of a stage (`SMFIM_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Connect,
    Helo,
    Mail,
    Rcpt,
    Data,
    EndOfMessage,
    EndOfHeader,
}

impl Stage {
    pub const ALL: [Stage; 7] = [
        Stage::Connect,
        Stage::Helo,
        Stage::Mail,
        Stage::Rcpt,
        Stage::Data,
        Stage::EndOfMessage,
        Stage::EndOfHeader,
    ];

    fn numbered(number: u32) -> Option<Stage> {
        usize::try_from(number).ok().and_then(|number| Stage::ALL.get(number)).copied()
    }

    /// The number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// Macros that one stage may have asked for.
const MACROS_MAX: usize = 64;

/// What `SMFIC_OPTNEG` says, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub version: u32,
    pub actions: u32,
    pub protocol: u32,
    /// The macros that the filter wants in the place of the usual ones; names without braces around one letter.
    pub macros: Vec<(Stage, Vec<String>)>,
}

impl Options {
    /// All that we can do.
    pub fn offered() -> Options {
        Options { version: VERSION, actions: actions::ALL, protocol: protocol::ALL, macros: Vec::new() }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for number in [self.version, self.actions, self.protocol] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        for (stage, names) in &self.macros {
            out.extend_from_slice(&stage.number().to_be_bytes());
            super::write_string(out, names.join(" ").as_bytes());
        }
    }

    /// # Errors
    /// The data is not that of an option negotiation.
    pub fn decode(mut data: &[u8]) -> Result<Options, Malformed> {
        let (version, actions) = (take_number(&mut data)?, take_number(&mut data)?);
        let protocol = take_number(&mut data)?;
        let mut macros: Vec<(Stage, Vec<String>)> = Vec::new();
        while !data.is_empty() {
            let stage = Stage::numbered(take_number(&mut data)?);
            let names = names(take_string(&mut data)?);
            if let Some(stage) = stage {
                macros.retain(|(other, _)| *other != stage);
                macros.push((stage, names));
            } // a stage of a later version: there is nothing to send for it
        }
        Ok(Options { version, actions, protocol, macros })
    }
}

fn names(text: &[u8]) -> Vec<String> {
    text.split(|byte| b" ,\t".contains(byte))
        .filter(|name| !name.is_empty() && name.len() <= 64 && name.is_ascii())
        .take(MACROS_MAX)
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_may_ask_for_macros_of_a_stage() {
        let asked = Options {
            macros: vec![
                (Stage::Mail, vec!["i".into(), "{auth_authen}".into()]),
                (Stage::EndOfMessage, vec![]),
            ],
            ..Options::offered()
        };
        let mut data = Vec::new();
        asked.write(&mut data);
        assert_eq!(Options::decode(&data), Ok(asked));
    }

    #[test]
    fn the_three_numbers_are_needed_and_a_list_has_its_end() {
        assert!(Options::decode(b"\0\0\0\x06\0\0\x01").is_err());
        let mut data = Vec::new();
        Options::offered().write(&mut data);
        data.extend_from_slice(b"\0\0\0\x02i");
        assert!(Options::decode(&data).is_err());
    }
}
