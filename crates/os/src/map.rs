//! Files in memory.
//!
//! [`SharedMap`] is a file that several processes read and write through the page cache. All access goes through
//! atomics, so that what another process does at the same moment is a stale value and never undefined. More address
//! space than the file has is reserved: the file may grow without a new mapping. Access is bounded by the length that
//! the file had when it was last asked for ([`SharedMap::extend`]); beyond it there is nothing. Whoever uses one must
//! never shorten the file. When somebody else does, or the disk fails, what is not there reads as zeros, and the map says so
//! ([`SharedMap::is_lost`], `fault.rs`).
//!
//! [`FileMap`] is a read-only view of a file that never changes.

use std::fs::{File, Metadata};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use nix::sys::mman::{MapFlags, MsFlags, ProtFlags, mmap, msync, munmap};

use crate::fault::{self, Guard};

/// Whether every byte can be read: an error of the disk must not wait for the map, where it would be a signal.
pub fn is_readable(file: &File) -> bool {
    let (mut block, mut at) = (vec![0; 256 * 1024], 0);
    loop {
        match file.read_at(&mut block, at) {
            Ok(0) => return true,
            Ok(count) => at += count as u64,
            Err(_) => return false,
        }
    }
}

/// A shared, growing file in memory.
pub struct SharedMap {
    base: NonNull<u8>,
    reserved: usize,
    valid: AtomicUsize,
    /// Device and inode of the file.
    identity: (u64, u64),
    /// Nothing only while it is dropped.
    guard: Option<Guard>,
}

// SAFETY: the mapping is plain memory that lives as long as the value, and every access to it is atomic.
unsafe impl Send for SharedMap {}
// SAFETY: as above.
unsafe impl Sync for SharedMap {}

impl SharedMap {
    /// Maps `file` (opened for reading and writing) with room for at least `reserve` bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn open(file: &File, reserve: usize) -> io::Result<SharedMap> {
        let meta = file.metadata()?;
        let (length, identity) = (length_of(&meta)?, (meta.dev(), meta.ino()));
        let reserved = NonZeroUsize::new(reserve.max(length).max(1).next_multiple_of(4096))
            .ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe { mmap(None, reserved, protection, MapFlags::MAP_SHARED, file.as_fd(), 0) }?;
        let guard = Some(Guard::on(base.as_ptr() as usize, reserved.get()));
        Ok(SharedMap {
            base: base.cast(),
            reserved: reserved.get(),
            valid: AtomicUsize::new(length),
            identity,
            guard,
        })
    }

    /// Whether the file was found to be shorter than it was, or unreadable, by an access to this map: it shows zeros there, what
    /// is written there is lost, and it must be opened anew.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::is_lost)
    }

    /// Whether the file that has this name is the one that is mapped, as long as it was when it was last asked for: nobody cut,
    /// removed or replaced it.
    pub fn is_in_place(&self, path: &Path) -> bool {
        let is_it =
            |meta: Metadata| (meta.dev(), meta.ino()) == self.identity && meta.len() == self.len() as u64;
        !self.is_lost() && std::fs::metadata(path).is_ok_and(is_it)
    }

    /// Bytes that may be accessed.
    pub fn len(&self) -> usize {
        self.valid.load(Ordering::Acquire)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of address space: what the file can grow to before it needs a new map.
    pub fn reserved(&self) -> usize {
        self.reserved
    }

    /// Learns how long the file is now. The length that may be accessed afterwards.
    ///
    /// # Errors
    /// The system's.
    pub fn extend(&self, file: &File) -> io::Result<usize> {
        let length = file_length(file)?.min(self.reserved);
        self.valid.store(length, Ordering::Release);
        Ok(length)
    }

    fn pointer(&self, offset: usize, length: usize) -> Option<*mut u8> {
        let end = offset.checked_add(length)?;
        // SAFETY: the offset is within the mapping, `valid` being at most `reserved`.
        (end <= self.len()).then(|| unsafe { self.base.as_ptr().add(offset) })
    }

    /// The aligned 32-bit word at `offset`; nothing outside the file.
    #[inline]
    pub fn u32_at(&self, offset: usize) -> Option<&AtomicU32> {
        let pointer = self.pointer(offset, 4).filter(|_| offset % 4 == 0)?;
        // SAFETY: inside the mapping, aligned, and only ever accessed atomically.
        Some(unsafe { AtomicU32::from_ptr(pointer.cast()) })
    }

    /// The aligned 64-bit word at `offset`; nothing outside the file.
    #[inline]
    pub fn u64_at(&self, offset: usize) -> Option<&AtomicU64> {
        let pointer = self.pointer(offset, 8).filter(|_| offset % 8 == 0)?;
        // SAFETY: inside the mapping, aligned, and only ever accessed atomically.
        Some(unsafe { AtomicU64::from_ptr(pointer.cast()) })
    }

    /// Copies `bytes.len()` bytes from `offset`. False, and nothing copied, when they are not all in the file.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> bool {
        let Some(start) = self.pointer(offset, bytes.len()) else { return false };
        let mut at = 0;
        while at < bytes.len() {
            if (offset + at) % 8 == 0 && bytes.len() - at >= 8 {
                // SAFETY: eight bytes inside the checked range, aligned since the base is aligned to a page.
                let word = unsafe { AtomicU64::from_ptr(start.add(at).cast()) }.load(Ordering::Relaxed);
                bytes[at..at + 8].copy_from_slice(&word.to_ne_bytes());
                at += 8;
            } else {
                // SAFETY: one byte inside the checked range.
                bytes[at] = unsafe { AtomicU8::from_ptr(start.add(at)) }.load(Ordering::Relaxed);
                at += 1;
            }
        }
        true
    }

    /// Copies `bytes` to `offset`. False, and nothing copied, when the file is too short.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        let Some(start) = self.pointer(offset, bytes.len()) else { return false };
        let mut at = 0;
        while at < bytes.len() {
            if (offset + at) % 8 == 0 && bytes.len() - at >= 8 {
                let mut word = [0; 8];
                word.copy_from_slice(&bytes[at..at + 8]);
                let word = u64::from_ne_bytes(word);
                // SAFETY: eight bytes inside the checked range, aligned since the base is aligned to a page.
                unsafe { AtomicU64::from_ptr(start.add(at).cast()) }.store(word, Ordering::Relaxed);
                at += 8;
            } else {
                // SAFETY: one byte inside the checked range.
                unsafe { AtomicU8::from_ptr(start.add(at)) }.store(bytes[at], Ordering::Relaxed);
                at += 1;
            }
        }
        true
    }

    /// Starts and awaits the writing of changed pages. The file needs its own sync for its metadata.
    ///
    /// # Errors
    /// The system's.
    pub fn sync(&self) -> io::Result<()> {
        let length = self.len();
        if length == 0 {
            return Ok(());
        }
        // SAFETY: the range is within our mapping.
        unsafe { msync(self.base.cast(), length, MsFlags::MS_SYNC) }.map_err(io::Error::from)
    }

    /// Reads the range into memory, so that a damaged disk is an error here and not a signal later.
    ///
    /// # Errors
    /// The system's; kernels before 5.14 do not know how and are no error.
    pub fn populate(&self, offset: usize, length: usize) -> io::Result<()> {
        const MADV_POPULATE_READ: i32 = 22;
        let start = offset & !4095;
        let Some(pointer) = self.pointer(start, length + (offset - start)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        // SAFETY: the range is within our mapping and the advice changes no memory.
        let done = unsafe { libc::madvise(pointer.cast(), length + (offset - start), MADV_POPULATE_READ) };
        match (done, io::Error::last_os_error()) {
            (0, _) => Ok(()),
            (_, error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            (_, error) => Err(error),
        }
    }
}

fn file_length(file: &File) -> io::Result<usize> {
    length_of(&file.metadata()?)
}

fn length_of(meta: &Metadata) -> io::Result<usize> {
    usize::try_from(meta.len()).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl Drop for SharedMap {
    fn drop(&mut self) {
        self.guard = None; // while the addresses are still ours
        // SAFETY: the mapping is ours and nobody can hold a reference into it that outlives `self`.
        let _ = unsafe { munmap(self.base.cast(), self.reserved) };
    }
}

/// Up to this size a file is read: cheaper than a mapping, whose end has to be told to every processor.
const READ_BYTES_MAX: u64 = 64 * 1024;

/// A file that never changes, as bytes.
pub struct FileMap(Bytes);

enum Bytes {
    Read(Vec<u8>),
    /// The guard goes first.
    Mapped(Guard, memmap2::Mmap),
}

impl FileMap {
    /// All of `file`, from its beginning wherever its cursor stands: mapped, or read when it is small. The file must not be
    /// changed or shortened by anybody while it is mapped; message files never are.
    ///
    /// # Errors
    /// The system's.
    pub fn open(file: &File) -> io::Result<FileMap> {
        let length = file.metadata()?.len();
        if length <= READ_BYTES_MAX {
            let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, 0)?;
            return Ok(FileMap(Bytes::Read(bytes)));
        }
        // SAFETY: the contract above: message files are written once, and only then given a name.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        let guard = Guard::on(map.as_ptr() as usize, map.len().next_multiple_of(fault::page_bytes()));
        Ok(FileMap(Bytes::Mapped(guard, map)))
    }

    /// Asked after reading, before what was read is believed: a mapped file that was cut meanwhile shows zeros.
    ///
    /// # Errors
    /// `UnexpectedEof` when some of it was not there.
    pub fn verify(&self) -> io::Result<()> {
        match &self.0 {
            Bytes::Mapped(guard, _) if guard.is_lost() => Err(fault::lost()),
            _ => Ok(()),
        }
    }
}

impl Deref for FileMap {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Read(bytes) => bytes,
            Bytes::Mapped(_, map) => map,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_file_needs_no_new_map_and_nothing_is_seen_beyond_its_end() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64).unwrap();
        let map = SharedMap::open(&file, 1 << 20).unwrap();
        assert!(map.u64_at(56).is_some() && map.u64_at(64).is_none() && map.u32_at(2).is_none());
        assert!(map.u64_at(usize::MAX - 7).is_none());
        file.set_len(8192).unwrap();
        assert_eq!(map.extend(&file).unwrap(), 8192);
        assert!(map.write(4091, b"mailboat!"));
        let mut bytes = [0; 9];
        assert!(map.read(4091, &mut bytes));
        assert_eq!(&bytes, b"mailboat!");
        assert!(!map.write(8190, b"abc") && !map.read(8192, &mut bytes[..1]));
        map.populate(4095, 10).unwrap();
        map.sync().unwrap();
    }

    #[test]
    fn a_file_that_somebody_cuts_reads_as_zeros_and_its_map_is_lost_and_no_other() {
        let (file, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        for one in [&file, &other] {
            one.write_all_at(&[7; 5 * 4096], 0).unwrap();
        }
        let (map, beside) = (SharedMap::open(&file, 1 << 20).unwrap(), SharedMap::open(&other, 0).unwrap());
        let message = FileMap::open(&file).unwrap();
        file.set_len(4096 + 8).unwrap();
        let mut bytes = [1; 16];
        assert!(map.read(0, &mut bytes) && bytes == [7; 16] && !map.is_lost(), "what is there is there");
        std::thread::scope(|scope| {
            for page in 2..5 {
                let map = &map;
                scope.spawn(move || assert_eq!(map.u64_at(page * 4096).unwrap().load(Ordering::Relaxed), 0));
            }
        });
        assert!(map.is_lost() && !beside.is_lost());
        assert!(map.write(3 * 4096, &[9; 16]) && map.read(0, &mut bytes) && bytes == [7; 16]);
        message.verify().unwrap(); // 20 KiB are read, not mapped
        drop(map);
        // Its entry is used again, and does not remember.
        assert!(!SharedMap::open(&file, 0).unwrap().is_lost());
    }

    #[test]
    fn a_message_that_somebody_cuts_is_an_error_once_it_was_read() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; 4 * READ_BYTES_MAX as usize], 0).unwrap();
        let message = FileMap::open(&file).unwrap();
        file.set_len(READ_BYTES_MAX).unwrap();
        assert_eq!(message[0], 7);
        message.verify().unwrap();
        assert_eq!(message[message.len() - 1], 0);
        assert!(message.verify().is_err());
    }

    #[test]
    fn many_maps_at_once_have_each_their_own_guard() {
        let maps: Vec<(File, SharedMap)> = (0..700)
            .map(|_| {
                let file = tempfile::tempfile().unwrap();
                file.set_len(4096).unwrap();
                let map = SharedMap::open(&file, 0).unwrap();
                (file, map)
            })
            .collect();
        for (file, map) in maps.iter().step_by(3) {
            file.set_len(0).unwrap();
            assert_eq!(map.u64_at(0).unwrap().load(Ordering::Relaxed), 0);
        }
        assert!(maps.iter().enumerate().all(|(place, (_, map))| map.is_lost() == (place % 3 == 0)));
    }

    #[test]
    fn an_empty_file_is_an_empty_slice() {
        assert!(FileMap::open(&tempfile::tempfile().unwrap()).unwrap().is_empty());
    }

    #[test]
    fn a_file_is_the_same_bytes_whether_read_or_mapped() {
        for length in [1, READ_BYTES_MAX, READ_BYTES_MAX + 1, 3 * READ_BYTES_MAX] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&content, 0).unwrap();
            assert!(*FileMap::open(&file).unwrap() == *content, "{length}");
        }
    }
}
