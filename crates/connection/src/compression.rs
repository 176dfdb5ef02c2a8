//! DEFLATE over a connection, in both directions (RFC 4978, RFC 1951).
//!
//! What is sent leaves in pieces that end at a byte (a sync flush), so the other side can always read all of it. A
//! piece refers to the one before only if the compressor still knows it: compressors belong to the worker threads,
//! and one that served another connection meanwhile begins anew, which the format allows at every such byte.
//!
//! What is received may refer to the last 32 KiB before it, and those must be kept. So an idle connection holds what its
//! peer said last, at most [`WINDOW_BYTES`], and no decompressor unless the peer stopped in the middle of a block.

use std::sync::atomic::{AtomicU64, Ordering};

use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{BlockBoundaryState, DecompressorOxide, decompress, inflate_flags};
use miniz_oxide::{MZError, MZFlush};

/// How far back a block may refer (RFC 1951 §2).
const WINDOW_BYTES: usize = 32 * 1024;
/// Compressed bytes read at once.
const RECEIVE_BYTES: usize = 16 * 1024;
/// Decompressed bytes made at once.
const STEP_BYTES: usize = 16 * 1024;
/// `create_comp_flags_from_zip_params`: negative window bits are a stream without zlib's header.
const RAW_WINDOW_BITS: i32 = -15;

/// The peer's bytes are no DEFLATE stream, or go on behind its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Garbled;

/// A compressor, lent by the worker to one connection after the other.
pub struct Deflater {
    compressor: Box<CompressorOxide>,
    level: u8,
    /// [`Compression::spoken`] of the connection whose last bytes it knows.
    spoken: u64,
}

impl Deflater {
    fn new(level: u8) -> Deflater {
        let flags = create_comp_flags_from_zip_params(i32::from(level), RAW_WINDOW_BITS, 0);
        Deflater { compressor: Box::new(CompressorOxide::new(flags)), level, spoken: 0 }
    }
}

/// Where in the peer's stream we are.
enum Inflating {
    /// Between two blocks: nothing but these bits is needed.
    Between(BlockBoundaryState),
    Within(Box<DecompressorOxide>),
    Ended,
}

/// Compression of one connection.
pub struct Compression {
    level: u8,
    deflater: Option<Deflater>,
    /// Names the last piece that was compressed, among all connections and compressors.
    spoken: u64,
    /// Compressed and not sent; as much as one piece of output makes.
    packed: Vec<u8>,
    packed_sent: usize,
    /// Received and not decompressed: `unpacked..`.
    received: Vec<u8>,
    unpacked: usize,
    inflating: Inflating,
    /// The decompressor stopped for want of room.
    stopped_full: bool,
    /// What was decompressed last.
    window: Vec<u8>,
    /// Compressed bytes received so far.
    pub bytes_in: u64,
}

impl Compression {
    /// From here on, with a compressor of this level (1 is fast, 9 is small). `received`: what came already.
    pub fn new(level: u8, received: Vec<u8>) -> Compression {
        Compression {
            level,
            deflater: None,
            spoken: 0,
            packed: Vec::new(),
            packed_sent: 0,
            received,
            unpacked: 0,
            inflating: Inflating::Between(BlockBoundaryState::default()),
            stopped_full: false,
            window: Vec::new(),
            bytes_in: 0,
        }
    }

    /// Takes the worker's compressor.
    pub fn lend(&mut self, deflater: &mut Option<Deflater>) {
        self.deflater = deflater.take();
    }

    /// Gives the compressor back and keeps no more than what is needed.
    pub fn reclaim(&mut self, deflater: &mut Option<Deflater>) {
        if self.deflater.is_some() {
            *deflater = self.deflater.take();
        }
        self.forget();
        self.window.shrink_to_fit();
        if self.packed_sent == self.packed.len() {
            (self.packed, self.packed_sent) = (Vec::new(), 0);
        }
        self.received.drain(..self.unpacked);
        self.unpacked = 0;
        self.received.shrink_to_fit();
    }

    /// Compresses one piece, so that the peer can read all of it.
    pub fn pack(&mut self, piece: &[u8]) {
        let level = self.level;
        let deflater = match &mut self.deflater {
            Some(deflater) if deflater.level == level => deflater,
            other => other.insert(Deflater::new(level)),
        };
        if deflater.spoken != self.spoken || self.spoken == 0 {
            deflater.compressor.reset();
        }
        self.spoken = next_spoken();
        deflater.spoken = self.spoken;
        let mut rest = piece;
        loop {
            let start = self.packed.len();
            self.packed.resize(start + rest.len() / 2 + 512, 0);
            let room = self.packed.len() - start;
            let made = deflate(&mut deflater.compressor, rest, &mut self.packed[start..], MZFlush::Sync);
            debug_assert!(matches!(made.status, Ok(_) | Err(MZError::Buf)));
            self.packed.truncate(start + made.bytes_written);
            rest = rest.get(made.bytes_consumed..).unwrap_or_default();
            if rest.is_empty() && made.bytes_written < room {
                return;
            }
        }
    }

    /// What is compressed and to be sent first.
    pub fn packed(&self) -> &[u8] {
        &self.packed[self.packed_sent..]
    }

    /// So much of [`Compression::packed`] was sent.
    pub fn sent(&mut self, count: usize) {
        self.packed_sent = (self.packed_sent + count).min(self.packed.len());
        if self.packed_sent == self.packed.len() {
            self.packed.clear();
            self.packed_sent = 0;
        }
    }

    /// Room for compressed bytes; followed by [`Compression::filled`].
    pub fn room(&mut self) -> &mut [u8] {
        self.unpacked = 0;
        self.received.resize(RECEIVE_BYTES, 0);
        &mut self.received
    }

    /// So many bytes were read into the room.
    pub fn filled(&mut self, count: usize) {
        self.received.truncate(count);
        self.bytes_in = self.bytes_in.saturating_add(count as u64);
    }

    /// Whether [`Compression::unpack`] may give something before more is received.
    pub fn has_more(&self) -> bool {
        self.stopped_full || self.unpacked < self.received.len()
    }

    /// Decompresses into `room`, as far as there are bytes and room; how much was made.
    ///
    /// # Errors
    /// [`Garbled`]: nothing that follows can be read.
    pub fn unpack(&mut self, room: &mut [u8]) -> Result<usize, Garbled> {
        let mut made = 0;
        while self.has_more() && made < room.len() {
            let from = self.window.len();
            self.step((room.len() - made).min(STEP_BYTES))?;
            let news = &self.window[from..];
            room[made..made + news.len()].copy_from_slice(news);
            made += news.len();
            if self.window.len() > 3 * WINDOW_BYTES {
                self.forget();
            }
        }
        Ok(made)
    }

    /// Appends at most `step` bytes to the window.
    fn step(&mut self, step: usize) -> Result<(), Garbled> {
        const FLAGS: u32 = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT
            | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
            | inflate_flags::TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
        let mut inflater = match std::mem::replace(&mut self.inflating, Inflating::Ended) {
            Inflating::Between(bits) => Box::new(DecompressorOxide::from_block_boundary_state(&bits)),
            Inflating::Within(inflater) => inflater,
            Inflating::Ended => return Err(Garbled), // bytes behind the end of the stream
        };
        let mut end = self.window.len();
        let full = end + step;
        self.window.resize(full, 0);
        let status = loop {
            let packed = &self.received[self.unpacked..];
            let (status, used, made) = decompress(&mut inflater, packed, &mut self.window, end, FLAGS);
            (self.unpacked, end) = (self.unpacked + used, end + made);
            // Of small blocks, or empty ones, there may be thousands: the next goes on with the same decompressor and room.
            let goes_on = status == TINFLStatus::BlockBoundary && self.unpacked < self.received.len();
            if !goes_on || end == full {
                break status;
            }
        };
        self.window.truncate(end);
        self.stopped_full = status == TINFLStatus::HasMoreOutput;
        self.inflating = match status {
            TINFLStatus::BlockBoundary => match inflater.block_boundary_state() {
                Some(bits) => Inflating::Between(bits),
                None => return Err(Garbled),
            },
            TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => Inflating::Within(inflater),
            TINFLStatus::Done => Inflating::Ended,
            _ => return Err(Garbled),
        };
        Ok(())
    }

    /// Keeps of the window what can still be referred to.
    fn forget(&mut self) {
        let old = self.window.len().saturating_sub(WINDOW_BYTES);
        self.window.drain(..old);
        if matches!(self.inflating, Inflating::Ended) {
            self.window.clear();
        }
    }

    /// Bytes of memory that this holds between two drives.
    #[cfg(test)]
    fn held(&self) -> usize {
        let inflater = match &self.inflating {
            Inflating::Within(_) => size_of::<DecompressorOxide>(),
            _ => 0,
        };
        size_of::<Compression>()
            + self.window.capacity()
            + self.packed.capacity()
            + self.received.capacity()
            + inflater
    }
}

fn next_spoken() -> u64 {
    static SPOKEN: AtomicU64 = AtomicU64::new(1);
    SPOKEN.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a peer makes of `pieces`, each with a flush of this kind.
    fn packed_by_peer(pieces: &[&[u8]], flush: MZFlush) -> Vec<u8> {
        let mut peer = Deflater::new(6).compressor;
        let mut all = Vec::new();
        for piece in pieces {
            let mut room = vec![0; piece.len() + 1000];
            let made = deflate(&mut peer, piece, &mut room, flush);
            assert_eq!(made.bytes_consumed, piece.len());
            all.extend_from_slice(&room[..made.bytes_written]);
        }
        all
    }

    /// Feeds a stream in pieces of `cut` bytes, with a drive for each.
    fn unpacked(compression: &mut Compression, stream: &[u8], cut: usize) -> Result<Vec<u8>, Garbled> {
        let mut all = Vec::new();
        for piece in stream.chunks(cut) {
            let room = compression.room();
            room[..piece.len()].copy_from_slice(piece);
            compression.filled(piece.len());
            while compression.has_more() {
                let mut room = vec![0; 5000];
                let made = compression.unpack(&mut room)?;
                all.extend_from_slice(&room[..made]);
            }
            compression.reclaim(&mut None);
        }
        Ok(all)
    }

    /// Text that repeats itself, and does not.
    fn text(bytes: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut noise = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..bytes)
            .map(|at| if at / 1000 % 2 == 0 { b"UID FETCH 1:* (FLAGS)\r\n"[at % 23] } else { noise() })
            .collect()
    }

    #[test]
    fn what_a_peer_says_is_read_however_it_is_cut_and_flushed() {
        let text = text(120_000);
        let pieces: Vec<&[u8]> = text.chunks(7000).collect();
        for flush in [MZFlush::Sync, MZFlush::Full, MZFlush::Partial] {
            let stream = packed_by_peer(&pieces, flush);
            for cut in [7, 1000, 16 * 1024] {
                let mut compression = Compression::new(6, Vec::new());
                assert!(unpacked(&mut compression, &stream, cut).unwrap() == text, "cut {cut}");
                assert_eq!(compression.bytes_in, stream.len() as u64);
            }
        }
    }

    #[test]
    fn what_we_say_is_read_by_the_peer_whoever_had_the_compressor_meanwhile() {
        let text = text(200_000);
        let (mut workers, mut stream) = ([None, None], Vec::new());
        let (mut ours, mut other) = (Compression::new(3, Vec::new()), Compression::new(3, Vec::new()));
        for (turn, piece) in text.chunks(4999).enumerate() {
            let worker = &mut workers[usize::from(turn % 5 == 4)];
            ours.lend(worker);
            ours.pack(piece);
            stream.extend_from_slice(ours.packed());
            let all = ours.packed().len();
            ours.sent(all);
            ours.reclaim(worker);
            if turn % 3 == 0 {
                other.lend(worker);
                other.pack(b"something secret of another connection");
                other.reclaim(worker);
            }
        }
        let mut peer = Compression::new(6, Vec::new());
        assert!(unpacked(&mut peer, &stream, 333).unwrap() == text);
    }

    #[test]
    fn a_compressor_that_stays_remembers_what_it_said() {
        let mut worker = None;
        let mut ours = Compression::new(6, Vec::new());
        let line = text(900);
        let mut sizes = Vec::new();
        for _ in 0..2 {
            ours.lend(&mut worker);
            ours.pack(&line);
            sizes.push(ours.packed().len());
            ours.sent(ours.packed().len());
            ours.reclaim(&mut worker);
        }
        assert!(sizes[1] < sizes[0], "{sizes:?}");
    }

    #[test]
    fn an_idle_connection_holds_what_its_peer_said_last_and_no_more() {
        let mut compression = Compression::new(6, Vec::new());
        let first = packed_by_peer(&[b"a1 NOOP\r\na2 SELECT INBOX\r\na3 IDLE\r\n"], MZFlush::Sync);
        unpacked(&mut compression, &first, 1000).unwrap();
        assert!(compression.held() < 512, "{}", compression.held());
        let mut compression = Compression::new(6, Vec::new());
        let much = packed_by_peer(&[&text(500_000)], MZFlush::Sync);
        unpacked(&mut compression, &much, 1000).unwrap();
        assert!(compression.held() < WINDOW_BYTES + 512, "{}", compression.held());
    }

    #[test]
    fn a_bomb_goes_off_in_pieces() {
        let bomb = packed_by_peer(&[&vec![b'x'; 16 * 1024 * 1024]], MZFlush::Sync);
        assert!(bomb.len() < 32 * 1024);
        let mut compression = Compression::new(6, bomb);
        let (mut all, mut room) = (0, [0; 4096]);
        while compression.has_more() {
            all += compression.unpack(&mut room).unwrap();
            assert!(compression.window.capacity() <= 8 * WINDOW_BYTES);
        }
        assert_eq!(all, 16 * 1024 * 1024);
    }

    /// Blocks of ten bits each, in which is nothing: eight of them are ten bytes.
    #[test]
    fn empty_blocks_make_no_work_and_stand_between_what_is_said() {
        let empty = [0x02, 0x08, 0x20, 0x80, 0x00, 0x02, 0x08, 0x20, 0x80, 0x00];
        let line = packed_by_peer(&[b"a1 NOOP\r\n"], MZFlush::Sync);
        let stream = [&line[..], &empty.repeat(3000), &line, &empty].concat();
        for cut in [3, 1000, 16 * 1024] {
            let mut compression = Compression::new(6, Vec::new());
            assert_eq!(unpacked(&mut compression, &stream, cut).unwrap(), b"a1 NOOP\r\na1 NOOP\r\n");
            assert!(compression.held() < 512, "{}", compression.held());
        }
        let mut compression = Compression::new(6, empty.repeat(1000));
        compression.step(100).unwrap();
        assert!(!compression.has_more(), "one step takes all of them");
    }

    #[test]
    fn nothing_is_read_behind_the_end_of_the_stream() {
        let stream = packed_by_peer(&[b"a1 LOGOUT\r\n"], MZFlush::Finish);
        let mut compression = Compression::new(6, Vec::new());
        assert_eq!(unpacked(&mut compression, &stream, 3).unwrap(), b"a1 LOGOUT\r\n");
        assert_eq!(unpacked(&mut compression, b"x", 1), Err(Garbled));
    }

    #[test]
    fn nobody_reads_what_another_said() {
        // A block with fixed codes that refers four bytes back, where nothing was.
        let mut compression = Compression::new(6, Vec::new());
        assert_eq!(unpacked(&mut compression, &[0x03, 0x62, 0x00, 0x00], 1), Err(Garbled));
        assert_eq!(unpacked(&mut Compression::new(6, Vec::new()), b"a1 NOOP\r\n", 100), Err(Garbled));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1_usize..40) {
            let _ = unpacked(&mut Compression::new(1, Vec::new()), &bytes, cut);
        }
    }
}
