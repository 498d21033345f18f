//! Compares two snapshots of any engine: V1's and V2's data as of the switch.

use crate::engine::Snapshot;
use crate::facts::Fact;
use crate::tell::{Teller, Unit};
use crate::trouble::Trouble;

/// Compares every table of both sides. A side without a snapshot (a resumed run has lost V2's) is said, not passed.
pub async fn compare(
    v1: Option<Box<dyn Snapshot>>,
    v2: Option<Box<dyn Snapshot>>,
    tell: &Teller,
) -> Result<Fact, Trouble> {
    let (Some(v1), Some(v2)) = (v1, v2) else {
        tell.warning("V1 and V2 were not compared: no view of the data as of the switch is left");
        return Ok(Fact::sentence("not compared: no view of the data as of the switch is left"));
    };
    let (left, right) = (v1.tables().await?, v2.tables().await?);
    let mut differing: Vec<String> = left.iter().filter(|t| !right.contains(t)).cloned().collect();
    differing.extend(right.iter().filter(|t| !left.contains(t)).cloned());
    let common: Vec<&String> = left.iter().filter(|t| right.contains(t)).collect();
    let (mut tables, mut rows) = (0, 0);
    for table in &common {
        tell.progress("compared", tables, Some(common.len() as u64), None, Unit::Tables);
        let (a, b) = tokio::join!(v1.fingerprint(table), v2.fingerprint(table));
        let (a, b) = (a?, b?);
        tables += 1;
        rows += a.rows;
        if a != b {
            differing.push((*table).clone());
        }
    }
    v1.end().await?;
    v2.end().await?;
    Ok(Fact::Verified { tables, rows, differing, skipped: Vec::new() })
}
