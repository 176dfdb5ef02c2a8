//! The bytes of a message wherever they are: in memory, or in a file that is not written any more.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use os::map::FileMap;

/// See the module. A clone in memory shares the bytes.
#[derive(Debug)]
pub enum Content {
    Memory(Arc<[u8]>),
    File(File),
}

/// All bytes of a content, in memory or mapped.
pub enum Whole<'a> {
    Buffer(&'a [u8]),
    Map(FileMap),
}

impl Deref for Whole<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Whole::Buffer(bytes) => bytes,
            Whole::Map(map) => map,
        }
    }
}

impl Content {
    /// Bytes in all.
    ///
    /// # Errors
    /// The system's.
    pub fn size(&self) -> io::Result<u64> {
        match self {
            Content::Memory(bytes) => Ok(bytes.len() as u64),
            Content::File(file) => Ok(file.metadata()?.len()),
        }
    }

    /// Bytes from this place on, fewer than wanted perhaps; none at the end.
    ///
    /// # Errors
    /// The system's.
    pub fn read_at(&self, wanted: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Content::Memory(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let count = rest.len().min(wanted.len());
                wanted[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            Content::File(file) => file.read_at(wanted, at),
        }
    }

    /// As many bytes as wanted.
    ///
    /// # Errors
    /// `UnexpectedEof`, or the system's.
    pub fn read_exact_at(&self, wanted: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Content::Memory(_) if self.read_at(wanted, at)? < wanted.len() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Content::Memory(_) => Ok(()),
            Content::File(file) => file.read_exact_at(wanted, at),
        }
    }

    /// All of it at once.
    ///
    /// # Errors
    /// The system's.
    pub fn whole(&self) -> io::Result<Whole<'_>> {
        Ok(match self {
            Content::Memory(bytes) => Whole::Buffer(bytes),
            Content::File(file) => Whole::Map(FileMap::open(file)?),
        })
    }

    /// What stands from this place on.
    pub fn from(&self, at: u64) -> Reader<'_> {
        Reader { content: self, at }
    }
}

/// Reads a content from a place on.
pub struct Reader<'a> {
    content: &'a Content,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, wanted: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read_at(wanted, self.at)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn memory_and_file_read_alike() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        for content in [Content::Memory(b"0123456789".as_slice().into()), Content::File(file)] {
            assert_eq!(content.size().unwrap(), 10);
            assert_eq!(&content.whole().unwrap()[..], b"0123456789");
            let read = |at: u64, length: usize| {
                let mut bytes = vec![0; length];
                content.read_exact_at(&mut bytes, at).map(|()| bytes)
            };
            assert_eq!(read(7, 3).unwrap(), b"789");
            assert_eq!(read(8, 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            for (at, rest) in [(0, "0123456789"), (9, "9"), (10, ""), (1 << 40, "")] {
                assert_eq!(io::read_to_string(content.from(at)).unwrap(), rest);
            }
        }
    }
}
