//! Blocks of a tar archive: ustar headers and pax records (POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended
//! Header").

pub const BLOCK: usize = 512;
/// Bytes of one extended header at most.
pub const PAX_BYTES_MAX: u64 = 4 << 20;

pub const REGULAR: u8 = b'0';
pub const HARD_LINK: u8 = b'1';
pub const FOLDER: u8 = b'5';
pub const EXTENDED: u8 = b'x';

/// What is used of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: u8,
    pub size: u64,
}

/// A header block. `name` is cut where it is too long: the extended header has the whole.
pub fn header(kind: u8, name: &str, link: &str, size: u64, mtime: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put(&mut block, 0, 100, name.as_bytes());
    let mode = if kind == FOLDER { b"0000700" } else { b"0000600" };
    put(&mut block, 100, 8, mode);
    put(&mut block, 108, 8, b"0000000");
    put(&mut block, 116, 8, b"0000000");
    put(&mut block, 124, 12, format!("{:011o}", size.min(0o77_777_777_777)).as_bytes());
    put(&mut block, 136, 12, format!("{:011o}", mtime.min(0o77_777_777_777)).as_bytes());
    block[156] = kind;
    put(&mut block, 157, 100, link.as_bytes());
    put(&mut block, 257, 8, b"ustar\x0000");
    let sum = checksum(&block);
    put(&mut block, 148, 8, format!("{sum:06o}\0 ").as_bytes());
    block
}

fn put(block: &mut [u8; BLOCK], at: usize, room: usize, bytes: &[u8]) {
    let length = bytes.len().min(room);
    block[at..at + length].copy_from_slice(&bytes[..length]);
}

/// Sum of the bytes, those of the checksum taken as blanks.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
    sum - own + 8 * u32::from(b' ')
}

/// Nothing when the block is no header.
pub fn parse(block: &[u8; BLOCK]) -> Option<Header> {
    let is_ours = &block[257..262] == b"ustar" && octal(&block[148..156])? == u64::from(checksum(block));
    is_ours.then_some(Header { kind: block[156], size: octal(&block[124..136])? })
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok()
}

/// `LENGTH KEY=VALUE\n`, the length counting itself.
pub fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    format!("{length} {key}={value}\n")
}

/// Key, value, and where the record begins. Nothing when they are not whole.
pub fn pax_records(body: &[u8]) -> Option<Vec<(&str, &str, usize)>> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let rest = &body[at..];
        let blank = rest.iter().take(12).position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&rest[..blank]).ok()?.parse().ok()?;
        let text = rest.get(blank + 1..length)?.strip_suffix(b"\n")?;
        let (key, value) = std::str::from_utf8(text).ok()?.split_once('=')?;
        records.push((key, value, at));
        at += length;
    }
    Some(records)
}

/// Bytes behind `size` up to the next block.
pub fn padding(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize;
    if over == 0 { 0 } else { BLOCK - over }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flipped_bit_of_a_header_is_seen() {
        let good = header(REGULAR, "primary/user/joe/INBOX/1.msg", "", 4711, 951_760_800);
        assert_eq!(parse(&good), Some(Header { kind: REGULAR, size: 4711 }));
        for at in (0..BLOCK * 8).filter(|at| !(148 * 8..156 * 8).contains(at)) {
            let mut block = good;
            block[at / 8] ^= 1 << (at % 8);
            assert_eq!(parse(&block), None, "bit {at}");
        }
        assert_eq!(parse(&[0; BLOCK]), None);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(pax_record("path", "a"), "9 path=a\n");
        assert!(pax_record("a", &"b".repeat(93)).starts_with("99 a=b"));
        assert!(pax_record("a", &"b".repeat(94)).starts_with("101 a=b"), "with one digit more");
        for length in 0..2000 {
            let record = pax_record("a", &"b".repeat(length));
            assert_eq!(record.split_once(' ').unwrap().0.parse(), Ok(record.len()));
        }
    }

    proptest! {
        #[test]
        fn records_come_back(values in proptest::collection::vec("(?s).{0,120}", 0..6), cut in 0usize..20) {
            let body: String = values.iter().map(|value| pax_record("k", value)).collect();
            let found = pax_records(body.as_bytes()).unwrap();
            prop_assert_eq!(found.iter().map(|(_, value, _)| (*value).to_owned()).collect::<Vec<_>>(), values);
            let _ = pax_records(&body.as_bytes()[..body.len().saturating_sub(cut)]); // no panic
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = pax_records(&bytes);
        }
    }
}
