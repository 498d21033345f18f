//! Large objects: whatever V1's clients do with them while V2 follows.

use switchover::trouble::Kind;

use super::{Corner, sql};

const LOGICAL: &[&str] = &["-c", "wal_level=logical"];

const ALL: &str = "SELECT string_agg(concat_ws(' ', oid, pg_get_userbyid(lomowner), lomacl, length(lo_get(oid)), md5(lo_get(oid))), ', ' \
    ORDER BY oid) FROM pg_largeobject_metadata WHERE oid < 16384";

#[tokio::test]
#[ignore = "large_objects_that_are_written_meanwhile_are_carried: a minute or more, in ./dev test all"]
async fn large_objects_that_are_written_meanwhile_are_carried() {
    let mut corner = Corner::with("large", "15", "17", &[], LOGICAL).await;
    let (v1, v2) = (corner.v1_name(), corner.v2_name());
    corner.fill();
    sql(
        &v1,
        "CREATE ROLE \"an owner\";; SELECT lo_from_bytea(11, 'stays'), lo_from_bytea(12, 'changes'), lo_from_bytea(13, 'goes')",
    );
    let (one, two) = corner.followed().await;
    two.polish().await.unwrap();
    sql(
        &v1,
        "SELECT lo_put(12, 3, 'XYZ'), lo_unlink(13), lo_from_bytea(14, convert_to(repeat('0123456789', 300000), 'UTF8')), lo_create(15);; \
         ALTER LARGE OBJECT 14 OWNER TO \"an owner\";; GRANT SELECT ON LARGE OBJECT 14 TO PUBLIC",
    );
    let refused = two.polish().await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotReady);
    assert!(refused.what.contains("4 in postgres"), "{refused:?}");
    one.ensure_connected().await.unwrap();
    assert!(two.ensure_connected().await.unwrap_err().what.contains("4 in postgres"));

    corner.change_plan(|plan| plan.allow = vec!["large-objects".into()]);
    let (one, two) = (corner.server(switchover::engine::Side::V1), corner.server(switchover::engine::Side::V2));
    two.polish().await.unwrap();
    assert_eq!(corner.as_admin(&v2, ALL), sql(&v1, ALL));
    sql(&v1, "SELECT lo_put(11, 0, 'S')");
    one.ensure_connected().await.unwrap();
    two.ensure_connected().await.unwrap();
    assert_eq!(corner.as_admin(&v2, ALL), sql(&v1, ALL));

    // In the last moment.
    sql(&v1, "SELECT lo_unlink(14), lo_put(11, 1, 'T'), lo_from_bytea(16, 'new')");
    let cut = corner.cut_over(&*one, &*two).await;
    assert_eq!(corner.as_admin(&v2, ALL), corner.as_admin(&v1, ALL));
    corner.compare(&*one, &*two).await;
    two.ensure_open().await.unwrap();
    println!("{cut}");
    drop(cut);

    // Back, with what V2's clients have written.
    assert!(one.ensure_way_back().await.unwrap().is_ok());
    two.ensure_clean(true).await.unwrap();
    sql(&v2, "SELECT lo_put(16, 0, 'N'), lo_unlink(15)");
    corner.exchange().await;
    let (from, to) = (corner.server(switchover::engine::Side::V1), corner.server(switchover::engine::Side::V2));
    from.ensure_followable().await.unwrap();
    to.ensure_following().await.unwrap();
    from.ensure_connected().await.unwrap();
    to.ensure_connected().await.unwrap();
    assert_eq!(corner.as_admin(&v1, ALL), sql(&v2, ALL));
}
