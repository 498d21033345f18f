//! Materialised views: V1's clients refresh them whenever they like, and no log says so.

use super::{Corner, sql};

const LOGICAL: &[&str] = &["-c", "wal_level=logical"];

/// One made of another through a view, one with a key, one that is empty, one that V2 cannot fill once there is a flag.
const MADE: &str = "CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM numbered; \
    CREATE VIEW between AS SELECT count * 10 AS tens FROM counted; \
    CREATE MATERIALIZED VIEW \"a \"\"top\" AS SELECT tens FROM between; \
    CREATE MATERIALIZED VIEW keyed AS SELECT n FROM numbered; CREATE UNIQUE INDEX ON keyed (n); \
    CREATE MATERIALIZED VIEW empty AS SELECT 1 AS n WITH NO DATA; \
    CREATE TABLE flag (n int PRIMARY KEY); \
    CREATE MATERIALIZED VIEW stuck AS SELECT 1 / CASE WHEN current_setting('server_version_num')::int >= 170000 \
        AND EXISTS (SELECT FROM flag) THEN 0 ELSE 1 END AS n;";

const ALL: &str = "SELECT concat_ws(' ', (SELECT count FROM counted), (SELECT tens FROM \"a \"\"top\"), \
    (SELECT count(*) FROM keyed), (SELECT relispopulated FROM pg_class WHERE relname = 'empty'))";

#[tokio::test]
#[ignore = "materialised_views_are_refreshed_when_v1s_are: a minute or more, in ./dev test all"]
async fn materialised_views_are_refreshed_when_v1s_are() {
    let mut corner = Corner::with("views", "15", "17", &[], LOGICAL).await;
    let (v1, v2) = (corner.v1_name(), corner.v2_name());
    corner.fill();
    corner.script(&v1, "postgres", MADE);
    let (one, two) = corner.followed().await;
    let there = |corner: &Corner| corner.as_admin(&v2, &format!("SET search_path = public; {ALL}"));
    assert_eq!(there(&corner), "0 0 0 f", "filled with the copy");
    let said = two.polish().await.unwrap();
    assert!(!said.contains("refreshed"), "nothing to do: {said}");

    corner.script(
        &v1,
        "postgres",
        "INSERT INTO numbered SELECT generate_series(1, 50); REFRESH MATERIALIZED VIEW counted; \
         REFRESH MATERIALIZED VIEW \"a \"\"top\"; REFRESH MATERIALIZED VIEW CONCURRENTLY keyed; \
         REFRESH MATERIALIZED VIEW empty;",
    );
    let said = two.polish().await.unwrap();
    assert!(said.contains("4 materialised views refreshed"), "{said}");
    assert_eq!(there(&corner), "50 500 50 t");
    assert!(!two.polish().await.unwrap().contains("refreshed"));

    corner.script(
        &v1,
        "postgres",
        "INSERT INTO flag VALUES (1); INSERT INTO numbered VALUES (51); REFRESH MATERIALIZED VIEW CONCURRENTLY keyed; \
         REFRESH MATERIALIZED VIEW empty WITH NO DATA; REFRESH MATERIALIZED VIEW stuck;",
    );
    one.ensure_connected().await.unwrap();
    two.ensure_connected().await.unwrap();
    assert_eq!(there(&corner), "50 500 51 f", "V1's others were not refreshed either");
    let warned = |what: &str| corner.warnings().iter().any(|said| said.contains(what) && said.contains("REFRESH"));
    assert!(warned("public.stuck in postgres cannot be refreshed on V2"), "{:?}", corner.warnings());

    // In the last moment: named.
    sql(&v1, "REFRESH MATERIALIZED VIEW counted");
    let cut = corner.cut_over(&*one, &*two).await;
    assert!(warned("a moment before the switch; REFRESH them on V2: public.counted in postgres"));
    assert!(!warned("public.keyed"));
    two.ensure_open().await.unwrap();
    drop(cut);

    // V1's own are as they were; what V2's clients refresh is not known to it, and all are refreshed when it is to serve again.
    assert!(one.ensure_way_back().await.unwrap().is_ok());
    two.ensure_clean(true).await.unwrap();
    sql(&v2, "DELETE FROM flag;; INSERT INTO numbered VALUES (52);; REFRESH MATERIALIZED VIEW counted");
    corner.exchange().await;
    let (from, to) = (corner.server(switchover::engine::Side::V1), corner.server(switchover::engine::Side::V2));
    from.ensure_followable().await.unwrap();
    to.ensure_following().await.unwrap();
    from.ensure_connected().await.unwrap();
    to.ensure_connected().await.unwrap();
    assert_eq!(corner.as_admin(&v1, "SELECT count FROM public.counted"), "52");
}
