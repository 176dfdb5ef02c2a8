//! What is told to a filter.

use std::net::SocketAddr;

use super::{Options, write_packet, write_string};

/// Who the SMTP client is (`SMFIA_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Address(SocketAddr),
    Unknown,
}

/// One command. Texts are bytes, since what a client said may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    Negotiate(Options),
    /// Values for the command that follows, which has this code.
    Macros {
        of: u8,
        values: Vec<(&'a [u8], &'a [u8])>,
    },
    Connect {
        host: &'a [u8],
        peer: Peer,
    },
    Helo(&'a [u8]),
    /// The reverse-path with its angle brackets, then the parameters of MAIL.
    Mail(Vec<&'a [u8]>),
    /// The forward-path with its angle brackets, then the parameters of RCPT.
    Rcpt(Vec<&'a [u8]>),
    Data,
    /// The value with line feeds as line ends.
    Header {
        name: &'a [u8],
        value: &'a [u8],
    },
    EndOfHeader,
    Body(&'a [u8]),
    EndOfMessage,
    /// A command that SMTP does not have, as it was said.
    Unknown(&'a [u8]),
    /// The message is dropped; the connection goes on. Not replied to.
    Abort,
    /// The connection ends. Not replied to.
    Quit,
    /// This client is gone; another one follows. Not replied to.
    QuitNewConnection,
}

impl Command<'_> {
    /// The byte that names it (`SMFIC_*`).
    pub fn code(&self) -> u8 {
        match self {
            Command::Negotiate(_) => b'O',
            Command::Macros { .. } => b'D',
            Command::Connect { .. } => b'C',
            Command::Helo(_) => b'H',
            Command::Mail(_) => b'M',
            Command::Rcpt(_) => b'R',
            Command::Data => b'T',
            Command::Header { .. } => b'L',
            Command::EndOfHeader => b'N',
            Command::Body(_) => b'B',
            Command::EndOfMessage => b'E',
            Command::Unknown(_) => b'U',
            Command::Abort => b'A',
            Command::Quit => b'Q',
            Command::QuitNewConnection => b'K',
        }
    }

    /// Appends its packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_packet(out, self.code(), |out| match self {
            Command::Negotiate(options) => options.write(out),
            Command::Macros { of, values } => {
                out.push(*of);
                for (name, value) in values {
                    write_string(out, name);
                    write_string(out, value);
                }
            }
            Command::Connect { host, peer } => connect(out, host, *peer),
            Command::Helo(text) | Command::Unknown(text) => write_string(out, text),
            Command::Mail(words) | Command::Rcpt(words) => {
                words.iter().for_each(|word| write_string(out, word));
            }
            Command::Header { name, value } => {
                write_string(out, name);
                write_string(out, value);
            }
            Command::Body(bytes) => out.extend_from_slice(bytes),
            Command::Data
            | Command::EndOfHeader
            | Command::EndOfMessage
            | Command::Abort
            | Command::Quit
            | Command::QuitNewConnection => {}
        });
    }
}

/// Host name, family, port, address (libmilter's `st_connectinfo`).
fn connect(out: &mut Vec<u8>, host: &[u8], peer: Peer) {
    write_string(out, host);
    let Peer::Address(address) = peer else { return out.push(b'U') };
    let ip = address.ip().to_canonical();
    out.push(if ip.is_ipv4() { b'4' } else { b'6' });
    out.extend_from_slice(&address.port().to_be_bytes());
    write_string(out, ip.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Malformed, Packet, nothing_left, packet, take_string};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The filter's half, as libmilter reads it.
    fn decode(code: u8, mut data: &[u8]) -> Result<Command<'_>, Malformed> {
        let words = |mut data| {
            let mut words = Vec::new();
            while !<[u8]>::is_empty(data) {
                words.push(take_string(&mut data)?);
            }
            Ok(words)
        };
        let command = match code {
            b'O' => return Options::decode(data).map(Command::Negotiate),
            b'D' => {
                let (of, data) = data.split_first().ok_or(Malformed("empty"))?;
                let words = words(data)?;
                let values = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                return Ok(Command::Macros { of: *of, values });
            }
            b'M' => return words(data).map(Command::Mail),
            b'R' => return words(data).map(Command::Rcpt),
            b'B' => return Ok(Command::Body(data)),
            b'C' => {
                let host = take_string(&mut data)?;
                let (family, rest) = data.split_first().ok_or(Malformed("no family"))?;
                if *family == b'U' {
                    return nothing_left(rest).map(|()| Command::Connect { host, peer: Peer::Unknown });
                }
                let (port, mut rest) = rest.split_first_chunk::<2>().ok_or(Malformed("no port"))?;
                let address = std::str::from_utf8(take_string(&mut rest)?).unwrap().parse().unwrap();
                data = rest;
                let peer = Peer::Address(SocketAddr::new(address, u16::from_be_bytes(*port)));
                Command::Connect { host, peer }
            }
            b'H' => Command::Helo(take_string(&mut data)?),
            b'U' => Command::Unknown(take_string(&mut data)?),
            b'L' => Command::Header { name: take_string(&mut data)?, value: take_string(&mut data)? },
            b'T' => Command::Data,
            b'N' => Command::EndOfHeader,
            b'E' => Command::EndOfMessage,
            b'A' => Command::Abort,
            b'Q' => Command::Quit,
            b'K' => Command::QuitNewConnection,
            _ => return Err(Malformed("no such command")),
        };
        nothing_left(data).map(|()| command)
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        vec(1u8..=255, 0..40)
    }

    fn comes_back(command: &Command<'_>) -> Result<(), TestCaseError> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        let Packet { code, data, length: used } = packet(&bytes).unwrap().unwrap();
        prop_assert_eq!(used, bytes.len());
        prop_assert_eq!(&decode(code, data).unwrap(), command);
        Ok(())
    }

    proptest! {
        #[test]
        fn every_command_reads_as_it_was_written(
            a in text(), b in text(), words in vec(text(), 1..5), port: u16, four: [u8; 4], six in any::<u128>(), kind in 0usize..13,
        ) {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let six = std::net::IpAddr::from(std::net::Ipv6Addr::from_bits(six)).to_canonical();
            let command = match kind {
                0 => Command::Macros { of: b'C', values: vec![(&a, &b), (&b, &a)] },
                1 => Command::Connect { host: &a, peer: Peer::Address(SocketAddr::from((four, port))) },
                2 => Command::Connect { host: &a, peer: Peer::Address(SocketAddr::from((six, port))) },
                3 => Command::Connect { host: &a, peer: Peer::Unknown },
                4 => Command::Helo(&a),
                5 => Command::Mail(words),
                6 => Command::Rcpt(words),
                7 => Command::Header { name: &a, value: &b },
                8 => Command::Body(&b),
                9 => Command::Unknown(&a),
                10 => Command::Negotiate(Options::offered()),
                11 => Command::EndOfMessage,
                _ => Command::QuitNewConnection,
            };
            comes_back(&command)?;
        }
    }

    #[test]
    fn a_nul_in_a_text_does_not_end_it() {
        let mut bytes = Vec::new();
        Command::Header { name: b"Subject", value: b"a\0b" }.encode(&mut bytes);
        assert_eq!(bytes, b"\0\0\0\x0dLSubject\0a b\0");
    }
}
