//! Files of ours in a side's data directory: what says that a copy is finished, and where it began.

use super::connect;
use crate::engine::Place;
use crate::runtime::File;
use crate::trouble::Trouble;

pub(in crate::engine) async fn read(place: &Place, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
    place.runtime.read_file(&connect::container(place).await?, &path(place, name)).await
}

pub(in crate::engine) async fn write(
    place: &Place,
    (uid, gid): (u64, u64),
    name: &str,
    content: Vec<u8>,
) -> Result<(), Trouble> {
    let file = File { path: path(place, name), content, mode: 0o600, uid, gid };
    place.runtime.put_file(&connect::container(place).await?, &file).await
}

fn path(place: &Place, name: &str) -> String {
    format!("{}/{name}", connect::data(place).trim_end_matches('/'))
}
