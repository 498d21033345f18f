//! Where the journal's bytes are kept. One real form, a locked file; tests bring one that forgets what was not synced.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// An append-only file. What was written survives the process; only what was synced survives the machine.
pub trait Disk {
    /// All there is, and only once it is on disk: whoever decides from it must find the same after a loss of power.
    fn settled(&mut self) -> io::Result<Vec<u8>>;
    /// Forgets what lies beyond `length`, on disk too.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Adds at the end. After an error some of it may be there.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once all that was written is on disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Takes the space of the next `bytes`, so that writing them cannot meet a full disk.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;
}

/// A file of our own, locked for as long as this value lives.
pub(super) struct LockedFile(File);

/// Why a file could not be had.
pub(super) enum Denied {
    Locked,
    Io(io::Error),
}

impl From<io::Error> for Denied {
    fn from(error: io::Error) -> Self {
        Denied::Io(error)
    }
}

impl LockedFile {
    pub(super) fn open(path: &Path) -> Result<Self, Denied> {
        Ok(LockedFile(locked(OpenOptions::new().read(true).write(true).open(path)?)?))
    }

    /// A new file that appears under its name only with `first` in it and on disk.
    pub(super) fn create(path: &Path, first: &[u8]) -> Result<Self, Denied> {
        if path.try_exists()? {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let beside = beside(path);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&beside)?;
        let mut file = locked(open)?;
        file.set_len(0)?;
        file.write_all(first)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        // The name is lasting once its folder is, and the folder once the one above it is.
        for folder in folder.ancestors().take(2).filter(|f| !f.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(LockedFile(file))
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn locked(file: File) -> Result<File, Denied> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Denied::Locked),
        Err(TryLockError::Error(error)) => Err(Denied::Io(error)),
    }
}

impl Disk for LockedFile {
    fn settled(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0))?;
        self.0.read_to_end(&mut bytes)?;
        // Written again, byte for byte: after an fsync that failed, the next one may succeed although the kernel has
        // given up on the pages; only pages that are dirty again are sure to be written.
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(&bytes)?;
        self.0.sync_all()?;
        Ok(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)?;
        self.0.seek(SeekFrom::Start(length))?;
        self.0.sync_all()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let end = self.0.stream_position()?;
        // The blocks lie beyond the end of the file, so that whoever reads it sees nothing of them.
        match rustix::fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, end, bytes) {
            // A file system that cannot set space aside can at least be asked whether there is some.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                let room = rustix::fs::fstatvfs(&self.0)?;
                if room.f_bavail.saturating_mul(room.f_frsize) < bytes {
                    return Err(io::Error::from(io::ErrorKind::StorageFull));
                }
                Ok(())
            }
            other => Ok(other?),
        }
    }
}
