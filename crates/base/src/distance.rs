//! How far apart two words are: for "did you mean".

/// Insertions, deletions and replacements that lead from one to the other, in bytes. Time and room grow with the product of
/// the lengths.
pub fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = i;
        row[0] = i.saturating_add(1);
        for (j, y) in b.bytes().enumerate() {
            let replaced = corner.saturating_add(usize::from(x != y));
            corner = row[j.saturating_add(1)];
            row[j.saturating_add(1)] = replaced.min(corner.saturating_add(1)).min(row[j].saturating_add(1));
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn slips_are_counted() {
        for (a, b, far) in [("", "", 0), ("", "ab", 2), ("kitten", "sitting", 3), ("timout", "timeout", 1)] {
            assert_eq!((distance(a, b), distance(b, a)), (far, far), "{a} {b}");
        }
    }
}
