//! The seed `volume`: V1's files, copied while it serves.

use switchover::engine::Side;

use super::{Corner, Writer, sql};

const LOGICAL: &[&str] = &["-c", "wal_level=logical"];

/// Rows without a key come twice where the copy and a slot overlap, and not at all where they leave a gap.
const COUNTED: &str = "CREATE TABLE counted (n bigint); CREATE SEQUENCE counter;";

#[tokio::test]
async fn by_volume_across_versions() {
    let mut corner = Corner::with("volume", "15", "17", &[], LOGICAL).await;
    corner.seed = Some("volume");
    corner.fill();
    corner.script(&corner.v1_name(), "postgres", COUNTED);
    corner.plan().await;
    assert_eq!((corner.plan.method.as_str(), corner.plan.seed.as_str()), ("logical", "volume"));
    let writer = Writer::start(&corner.v1_name());
    corner.prepare().await;
    corner.create_v2().await;
    let (v1, v2) = (corner.server(Side::V1), corner.server(Side::V2));
    let seeded = v2.ensure_seeded().await.unwrap();
    assert_eq!(v2.ensure_seeded().await.unwrap().position, seeded.position, "a finished copy is not made again");
    for _ in 0..2 {
        v2.ensure_following().await.unwrap();
    }
    corner.caught_up(&*v1, &*v2).await;
    v2.polish().await.unwrap();
    v1.ensure_connected().await.unwrap();
    v2.ensure_connected().await.unwrap();
    let mut probe = corner.probe(&*v2).await;
    let cut = corner.cut_over(&*v1, &*v2).await;
    let acknowledged = writer.stop();
    v2.ensure_open().await.unwrap();
    corner.move_clients().await;
    probe.write().await.unwrap();
    println!("{cut}");
    cut.window.end_switch().await.unwrap();
    drop(cut);
    probe.end().await.unwrap();
    assert_eq!(corner.lost(&acknowledged), Vec::<u64>::new());
    corner.compare(&*v1, &*v2).await;
    assert!(v1.ensure_way_back().await.unwrap().is_ok());
    v2.ensure_clean(false).await.unwrap();
    corner.assert_nothing_left();
    assert_eq!(
        sql(&corner.v2_name(), "SELECT count(*) FROM pg_subscription;; SELECT count(*) FROM pg_replication_origin"),
        "0\n0"
    );
}
