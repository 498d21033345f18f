//! What V1's container says of its server: its arguments, port and configuration, and who owns its files.

use crate::engine::{Access, Side};
use crate::runtime::{Call, Container, MountKind, Runtime};
use crate::trouble::Trouble;

use super::connect::Inside;

/// Where the server listens unless it says otherwise.
const PORT: u16 = 3306;

/// The server's arguments, without its name.
pub(in crate::engine) fn arguments(v1: &Container) -> Vec<String> {
    v1.command.iter().filter(|word| word.starts_with("--")).cloned().collect()
}

/// What is mounted into V1 and is no volume: its configuration may be among it. As a helper mounts it.
pub(in crate::engine) fn configuration(v1: &Container) -> Vec<(String, String, bool)> {
    let files = v1.mounts.iter().filter(|mount| {
        mount.kind == MountKind::Bind && ["/etc/", "/usr/", "/opt/"].iter().any(|at| mount.destination.starts_with(at))
    });
    files.map(|mount| (mount.source.clone(), mount.destination.clone(), true)).collect()
}

/// As its command line says.
fn port(container: &Container) -> u16 {
    let said = container.command.iter().find_map(|word| word.strip_prefix("--port=")?.parse().ok());
    said.unwrap_or(PORT)
}

/// Local access to the server that is surveyed.
pub(in crate::engine) fn inside<'a>(
    runtime: &'a dyn Runtime,
    container: &'a Container,
    access: &'a Access,
) -> Inside<'a> {
    Inside { runtime, container, port: port(container), access, side: Side::V1 }
}

/// What all files in `data` take on the disk; nothing where its image cannot say.
pub(in crate::engine) async fn files_bytes(
    runtime: &dyn Runtime,
    container: &Container,
    data: &str,
) -> Result<Option<u64>, Trouble> {
    let argv = ["du", "-sk", data];
    let output = runtime.exec(&container.id, &Call { argv: &argv, user: Some("0:0"), stdin: b"" }).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).map(|kib| kib << 10))
}

/// User and group of the files in `data`.
pub(in crate::engine) async fn owner(
    runtime: &dyn Runtime,
    container: &Container,
    data: &str,
) -> Result<(u64, u64), Trouble> {
    let argv = ["stat", "-c", "%u %g", data];
    let output = runtime.exec(&container.id, &Call { argv: &argv, user: None, stdin: b"" }).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [user, group] => Ok((user, group)),
        _ => Err(Trouble::failed(format!("cannot see who owns {} in V1", data.escape_debug()))),
    }
}
