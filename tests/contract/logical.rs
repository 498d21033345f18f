//! Across major versions: V2 is a server of its own that is written to as V1 is.

use switchover::engine::{Side, Verdict};

use super::{Corner, Writer, sql};

const LOGICAL: &[&str] = &["-c", "wal_level=logical"];

#[tokio::test]
async fn there_and_back_across_versions() {
    let mut corner = Corner::with("logical", "15", "17", &[], LOGICAL).await;
    corner.fill();
    corner.plan().await;
    assert_eq!(corner.plan.method, "logical");
    let refused: Vec<_> =
        corner.survey.iter().flat_map(|survey| &survey.checks).filter(|c| c.verdict == Verdict::Refused).collect();
    assert!(refused.is_empty(), "{refused:#?}");
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
    assert!(corner.refused_by(Side::V2), "V2 is closed");

    // Turned back: promoted, a follower again.
    v1.ensure_connected().await.unwrap();
    v2.ensure_connected().await.unwrap();
    sql(&corner.v1_name(), "SELECT 1");
    for _ in 0..2 {
        v2.ensure_promoted().await.unwrap();
    }
    for _ in 0..2 {
        v2.ensure_demoted().await.unwrap();
    }
    assert_eq!(corner.warnings(), Vec::<String>::new());
    corner.caught_up(&*v1, &*v2).await;

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
    sql(&corner.v2_name(), "INSERT INTO numbered VALUES (1000000)");
    let way_back = v1.ensure_way_back().await.unwrap();
    assert!(way_back.is_ok(), "{way_back:?}");
    assert!(v1.ensure_way_back().await.unwrap().is_ok());
    v2.ensure_clean(true).await.unwrap();
    v2.ensure_clean(true).await.unwrap();
    assert_eq!(v1.state().await.following, Some(true));
    assert_eq!(v2.state().await.writable, Some(true));
    v2.ensure_clean(false).await.unwrap();
    corner.assert_nothing_left();
}
