//! Numbers in base 36, upper case, as queue ids carry them.

const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// `value` in exactly `width` digits; higher digits are lost.
pub fn encode(mut value: u64, width: usize) -> String {
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(value % 36) as usize];
        value /= 36;
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

/// The number that `text` spells, or nothing when a byte is no digit or it overflows.
pub fn decode(text: &str) -> Option<u64> {
    text.bytes().try_fold(0u64, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            _ => return None,
        };
        value.checked_mul(36)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_sample_id_decodes_to_its_second() {
        assert_eq!(decode("GPM7U0"), Some(1_010_485_800));
        assert_eq!(encode(1_010_485_800, 6), "GPM7U0");
    }
}
