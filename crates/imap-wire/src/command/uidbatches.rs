//! `uidbatches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number]` (RFC 10022).

use crate::cursor::{Cursor, Parsed};

/// Batches of how many messages, and which of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UidBatches {
    /// Messages of one batch.
    pub size: u32,
    /// First and last batch, counted from 1; all of them if none are named.
    pub range: Option<(u32, u32)>,
}

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<UidBatches> {
    cursor.space()?;
    let size = cursor.nz_number()?;
    if cursor.rest().len() < 2 {
        return Ok(UidBatches { size, range: None });
    }
    cursor.space()?;
    let from = cursor.nz_number()?;
    cursor.expect(b':', "a colon and the last batch")?;
    Ok(UidBatches { size, range: Some((from, cursor.nz_number()?)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ranges_are_read() {
        let read = |text: &[u8]| {
            let mut cursor = Cursor::new(text);
            arguments(&mut cursor).and_then(|read| cursor.end().map(|()| read))
        };
        assert_eq!(read(b" 2000"), Ok(UidBatches { size: 2000, range: None }));
        assert_eq!(read(b" 2000 10:20"), Ok(UidBatches { size: 2000, range: Some((10, 20)) }));
        for bad in [&b""[..], b" 0", b" x", b" 500 10", b" 500 10:", b" 500 0:1", b" 500 1:*", b" 500 1:2 3"]
        {
            assert!(read(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
