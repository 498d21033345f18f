//! Single files in a container, over the archive API: it works on stopped containers too, their volumes included.
//! On a running one it does not see what is mounted as tmpfs inside.

use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::body_full;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use futures_util::TryStreamExt;
use tar::{Archive, EntryType, Header};

use super::lifecycle::is_gone;
use super::{Docker, File};
use crate::trouble::Trouble;

/// Configuration files and keys are smaller by far.
const LARGEST: u64 = 64 << 20;

/// As many as a kernel follows before it gives up is more than anybody has.
const LINKS: usize = 8;

impl Docker {
    pub(super) async fn write_file(&self, container: &str, file: &File) -> Result<(), Trouble> {
        let act = || format!("cannot write {} in container {container}", file.path);
        let (directory, name) = split(&file.path).ok_or_else(|| Trouble::bug(format!("{} is no file", file.path)))?;
        let archive = archive(name, file).map_err(|error| Trouble::failed(act()).because(error))?;
        let options =
            || UploadToContainerOptionsBuilder::default().path(directory).no_overwrite_dir_non_dir("true").build();
        let api = &self.engine.api;
        let body = || body_full(archive.clone().into());
        let done = self.on(container, async |id| api.upload_to_container(&id, Some(options()), body()).await).await;
        done.map_err(|error| self.engine.trouble(act(), error))
    }

    pub(super) async fn whole_file(&self, container: &str, path: &str) -> Result<Option<File>, Trouble> {
        let act = || format!("cannot read {path} in container {container}");
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let Some(archive) = self.download(container, &path).await? else { return Ok(None) };
            match first_entry(&archive).map_err(|error| Trouble::failed(act()).because(error))? {
                Entry::File(file) => return Ok(Some(File { path, ..file })),
                Entry::Link(target) => path = joined(&path, &target),
                Entry::Other => return Err(Trouble::failed(act()).because(Trouble::failed("it is no file"))),
            }
        }
        Err(Trouble::failed(act()).because(Trouble::failed("too many symbolic links")))
    }

    async fn download(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>, Trouble> {
        let act = || format!("cannot read {path} in container {container}");
        let api = &self.engine.api;
        let fetched = self.on(container, async |id| {
            let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
            let mut stream = std::pin::pin!(api.download_from_container(&id, Some(options)));
            let mut archive = Vec::new();
            while let Some(part) = stream.try_next().await? {
                archive.extend_from_slice(&part);
                if archive.len() as u64 > LARGEST {
                    let error = format!("it is larger than {LARGEST} bytes");
                    return Err(bollard::errors::Error::DockerStreamError { error });
                }
            }
            Ok(archive)
        });
        match fetched.await {
            Ok(archive) => Ok(Some(archive)),
            Err(error) if is_gone(&error) && self.look_at_container(container).await?.is_some() => Ok(None),
            Err(error) => Err(self.engine.trouble(act(), error)),
        }
    }
}

enum Entry {
    File(File),
    Link(String),
    Other,
}

fn first_entry(archive: &[u8]) -> std::io::Result<Entry> {
    let mut archive = Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else { return Ok(Entry::Other) };
    let mut entry = entry?;
    match entry.header().entry_type() {
        EntryType::Regular => {
            let header = entry.header();
            let (mode, uid, gid) = (header.mode()?, header.uid()?, header.gid()?);
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            Ok(Entry::File(File { path: String::new(), content, mode, uid, gid }))
        }
        EntryType::Symlink => {
            let target = entry.link_name()?;
            Ok(target.map_or(Entry::Other, |target| Entry::Link(target.to_string_lossy().into_owned())))
        }
        _ => Ok(Entry::Other),
    }
}

fn archive(name: &str, file: &File) -> std::io::Result<Vec<u8>> {
    let mut header = Header::new_gnu();
    header.set_size(file.content.len() as u64);
    header.set_mode(file.mode);
    header.set_uid(file.uid);
    header.set_gid(file.gid);
    header.set_mtime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, name, file.content.as_slice())?;
    archive.into_inner()
}

/// Directory and name of an absolute path.
fn split(path: &str) -> Option<(&str, &str)> {
    let (directory, name) = path.rsplit_once('/')?;
    (!name.is_empty()).then_some((if directory.is_empty() { "/" } else { directory }, name))
}

fn joined(link: &str, target: &str) -> String {
    match split(link) {
        Some((directory, _)) if !target.starts_with('/') => format!("{directory}/{target}"),
        _ => target.to_owned(),
    }
}
