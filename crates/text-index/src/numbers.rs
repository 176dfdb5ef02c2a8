//! Ascending numbers below a bound, in few bits: Golomb-Rice codes of the gaps, of the numbers or of those that are missing,
//! whichever are fewer.

const COMPLEMENT: u8 = 0x20;
/// A gap of so many multiples is written as it is.
const ESCAPE: u32 = 32;
const SHIFT_MAX: u32 = 24;

pub fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The number at the start of `bytes`, and what follows.
#[inline]
pub fn varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u32;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

/// Appends a list of numbers below `bound`.
pub fn put(out: &mut Vec<u8>, numbers: &[u32], bound: u32) {
    if numbers.len() > bound as usize / 2 {
        let mut present = numbers.iter().peekable();
        let missing: Vec<u32> =
            (0..bound).filter(|one| present.next_if(|number| *number == one).is_none()).collect();
        put_gaps(out, &missing, COMPLEMENT);
    } else {
        put_gaps(out, numbers, 0);
    }
}

fn put_gaps(out: &mut Vec<u8>, numbers: &[u32], mark: u8) {
    let shift = best_shift(numbers);
    out.push(shift as u8 | mark);
    put_varint(out, numbers.len() as u32);
    let mut bits = BitWriter::default();
    for gap in gaps(numbers) {
        let multiples = gap >> shift;
        if multiples < ESCAPE {
            bits.push(1 << multiples, multiples + 1);
            bits.push(u64::from(gap) & ((1 << shift) - 1), shift);
        } else {
            bits.push(1 << ESCAPE, ESCAPE + 1);
            bits.push(u64::from(gap), 32);
        }
    }
    let bits = bits.finish();
    put_varint(out, bits.len() as u32);
    out.extend_from_slice(&bits);
}

fn gaps(numbers: &[u32]) -> impl Iterator<Item = u32> + '_ {
    let mut next = 0;
    numbers.iter().map(move |number| {
        let gap = number - next;
        next = number + 1;
        gap
    })
}

fn best_shift(numbers: &[u32]) -> u32 {
    let total: u64 = gaps(numbers).map(u64::from).sum();
    let mean = total / numbers.len().max(1) as u64;
    let near = (mean * 7 / 10).checked_ilog2().unwrap_or(0).min(SHIFT_MAX);
    let cost = |shift: u32| -> u64 {
        let one = |gap: u32| match gap >> shift {
            multiples if multiples < ESCAPE => u64::from(multiples + 1 + shift),
            _ => u64::from(ESCAPE + 33),
        };
        gaps(numbers).map(one).sum()
    };
    (near.saturating_sub(1)..=(near + 1).min(SHIFT_MAX)).min_by_key(|shift| cost(*shift)).unwrap_or(near)
}

/// A list as it lies in a file.
#[derive(Clone, Copy)]
pub struct List<'b> {
    shift: u32,
    is_complement: bool,
    count: u32,
    bits: &'b [u8],
}

impl<'b> List<'b> {
    /// The list at the start of `bytes`, and what follows.
    #[inline]
    pub fn read(bytes: &'b [u8]) -> Option<(List<'b>, &'b [u8])> {
        let (head, rest) = bytes.split_first()?;
        let (count, rest) = varint(rest)?;
        let (length, rest) = varint(rest)?;
        let (bits, rest) = rest.split_at_checked(length as usize)?;
        let shift = u32::from(head & 0x1f).min(SHIFT_MAX);
        Some((List { shift, is_complement: head & COMPLEMENT != 0, count, bits }, rest))
    }

    /// The numbers, ascending, all of them below `bound`, until `take` has enough.
    pub fn each(&self, bound: u32, mut take: impl FnMut(u32) -> bool) {
        let mut next = 0u32;
        let mut reader = BitReader::new(self.bits);
        for _ in 0..self.count {
            let Some(number) = reader.gap(self.shift).and_then(|gap| next.checked_add(gap)) else { return };
            if number >= bound {
                return;
            }
            if self.is_complement {
                if !(next..number).all(&mut take) {
                    return;
                }
            } else if !take(number) {
                return;
            }
            next = number + 1;
        }
        if self.is_complement {
            let _ = (next..bound).all(&mut take);
        }
    }
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    buffer: u64,
    filled: u32,
}

impl BitWriter {
    /// At most 33 bits.
    fn push(&mut self, bits: u64, count: u32) {
        self.buffer |= bits << self.filled;
        self.filled += count;
        while self.filled >= 8 {
            self.bytes.push(self.buffer as u8);
            self.buffer >>= 8;
            self.filled -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.bytes.push(self.buffer as u8);
        }
        self.bytes
    }
}

struct BitReader<'b> {
    rest: &'b [u8],
    buffer: u64,
    filled: u32,
}

impl<'b> BitReader<'b> {
    fn new(rest: &'b [u8]) -> BitReader<'b> {
        BitReader { rest, buffer: 0, filled: 0 }
    }

    /// At least 56 bits, or all there are.
    #[inline]
    fn fill(&mut self) {
        if let Some(word) = self.rest.first_chunk::<8>() {
            self.buffer |= u64::from_le_bytes(*word) << self.filled;
            let taken = (63 - self.filled) / 8;
            self.rest = &self.rest[taken as usize..];
            self.filled += taken * 8;
            return;
        }
        while self.filled <= 56 {
            let Some((byte, rest)) = self.rest.split_first() else { return };
            self.buffer |= u64::from(*byte) << self.filled;
            self.filled += 8;
            self.rest = rest;
        }
    }

    #[inline]
    fn skip(&mut self, count: u32) -> Option<()> {
        self.filled = self.filled.checked_sub(count)?;
        self.buffer >>= count;
        Some(())
    }

    #[inline]
    fn gap(&mut self, shift: u32) -> Option<u32> {
        self.fill();
        let multiples = self.buffer.trailing_zeros();
        if multiples < ESCAPE {
            self.skip(multiples + 1)?;
            let low = self.buffer & ((1 << shift) - 1);
            self.skip(shift)?;
            return Some((multiples << shift) | low as u32);
        }
        self.skip(ESCAPE + 1)?;
        self.fill();
        let gap = self.buffer as u32;
        self.skip(32)?;
        Some(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back(numbers: &[u32], bound: u32) -> (Vec<u32>, usize) {
        let mut bytes = Vec::new();
        put(&mut bytes, numbers, bound);
        bytes.push(7);
        let (list, rest) = List::read(&bytes).unwrap();
        assert_eq!(rest, [7]);
        let mut found = Vec::new();
        list.each(bound, |number| {
            found.push(number);
            true
        });
        (found, bytes.len())
    }

    #[test]
    fn what_is_everywhere_or_nowhere_takes_no_room() {
        let all: Vec<u32> = (0..60_000).collect();
        assert_eq!(back(&all, 60_000), (all, 4));
        let few = [5, 59_999];
        let (found, length) = back(&few, 60_000);
        assert!(found == few && length < 12);
        let bursts: Vec<u32> = (1000..2000).chain([4_000_000]).collect();
        assert_eq!(back(&bursts, 1 << 22).0, bursts);
    }

    proptest! {
        #[test]
        fn lists_come_back(numbers in proptest::collection::btree_set(0u32..500, 0..500), far in 0u32..1 << 22) {
            let mut numbers: Vec<u32> = numbers.into_iter().collect();
            prop_assert_eq!(back(&numbers, 500).0, numbers.clone());
            numbers.push(500 + far);
            prop_assert_eq!(back(&numbers, 501 + far).0, numbers);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some((list, _)) = List::read(&bytes) {
                let mut count = 0;
                list.each(1000, |number| {
                    assert!(number < 1000);
                    count += 1;
                    true
                });
                prop_assert!(count <= 1000);
            }
        }
    }
}
