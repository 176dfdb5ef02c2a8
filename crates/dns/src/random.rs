//! Numbers that nobody can foresee, from the TLS library.

use std::io;

/// # Errors
/// The library has no entropy.
pub(crate) fn number() -> io::Result<u16> {
    let mut bytes = [0; 2];
    openssl::rand::rand_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(u16::from_be_bytes(bytes))
}

/// `items` in random order; without entropy, in the order they have.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    let mut bytes = vec![0; items.len().saturating_mul(8)];
    if openssl::rand::rand_bytes(&mut bytes).is_err() {
        return;
    }
    // Fisher and Yates, with a number of 64 bits for each step so that the remainder favours nobody noticeably.
    for (drawn, last) in bytes.chunks_exact(8).zip((1..items.len()).rev()) {
        let drawn = drawn.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let below = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
        let other = usize::try_from(drawn % below).unwrap_or(last);
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::shuffle;

    #[test]
    fn every_order_of_three_comes_about_as_often() {
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let mut items = [1, 2, 3];
            shuffle(&mut items);
            *seen.entry(items).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|times| (800..1200).contains(times)), "{seen:?}");
    }
}
