//! Compares two snapshots of any engine: V1's and V2's data as of the switch.

use crate::config::quantity::Bytes;
use crate::engine::{Snapshot, Table};
use crate::facts::Fact;
use crate::tell::{Teller, Unit};
use crate::trouble::Trouble;

/// Of a larger table only a sample of this size is read: V1 shall follow V2 soon, and the copy was made by the
/// server's own replication.
const WHOLE: u64 = 128 << 20;

/// Compares every table of both sides. A side without a view of the data as of the switch is said, never passed.
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
    let has = |tables: &[Table], name: &str| tables.iter().any(|table| table.name == name);
    let mut differing: Vec<String> = left.iter().filter(|t| !has(&right, &t.name)).map(|t| t.name.clone()).collect();
    differing.extend(right.iter().filter(|t| !has(&left, &t.name)).map(|t| t.name.clone()));
    let common: Vec<&Table> = left.iter().filter(|t| has(&right, &t.name)).collect();
    let (mut tables, mut rows, mut sampled) = (0, 0, Vec::new());
    for table in &common {
        tell.progress("compared", tables, Some(common.len() as u64), None, Unit::Tables);
        let percent = share(table.bytes);
        let (a, b) = tokio::join!(v1.fingerprint(&table.name, percent), v2.fingerprint(&table.name, percent));
        let (a, b) = (a?, b?);
        tables += 1;
        rows += a.rows;
        if !a.whole {
            sampled.push(format!("{} ({percent:.1} % of {})", table.name, Bytes(table.bytes)));
        }
        if a != b {
            differing.push(table.name.clone());
        }
    }
    v1.end().await?;
    v2.end().await?;
    Ok(Fact::Verified { tables, rows, differing, sampled })
}

#[expect(clippy::cast_precision_loss, reason = "a share of a table")]
fn share(bytes: u64) -> f64 {
    if bytes <= WHOLE { 100.0 } else { 100.0 * WHOLE as f64 / bytes as f64 }
}
