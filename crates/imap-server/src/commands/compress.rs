//! COMPRESS: everything that follows is compressed, in both directions (RFC 4978).

use connection::Io;

use super::Outcome;
use crate::refusal::Refusal;
use crate::settings::Settings;

/// Whether the capability is announced: what is active cannot be asked for again.
pub fn is_offered(settings: &Settings, io: &Io) -> bool {
    settings.compress_level > 0 && !io.is_compressed
}

/// RFC 4978 §3 has BAD for a second COMPRESS and NO with a code for compression in another layer. As in Cyrus IMAP and
/// Dovecot it is NO with the code in both cases: the client learns that what it wants is so. TLS never compresses here.
pub fn run(mechanism: &str, level: u8, io: &Io) -> Result<Outcome, Refusal> {
    if mechanism != "DEFLATE" || level == 0 {
        return Err(Refusal::Syntax("No such compression mechanism"));
    }
    if io.is_compressed {
        return Err(Refusal::CompressionActive);
    }
    Ok(Outcome::Compress(level))
}
