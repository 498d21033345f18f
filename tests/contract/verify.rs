//! Compared before the cutover, while clients write.

use std::time::Duration;

use switchover::engine::{Server, Side};
use switchover::facts::Fact;
use switchover::tell::Teller;
use switchover::verify;
use switchover::wait::Limit;

use super::{Corner, sql};

/// What differs, and what cannot be judged.
async fn compared(v1: &dyn Server, v2: &dyn Server) -> [Vec<String>; 2] {
    let limit = Limit { name: "30 s", value: Duration::from_secs(30) };
    let compared = verify::while_following(v1, v2, true, limit, &Teller::silent()).await.unwrap();
    let Fact::Verified { tables, rows, differing, .. } = compared.fact else { panic!("not compared") };
    assert!(tables >= 4 && rows > 20_000, "{tables} tables, {rows} rows");
    [differing, compared.undecided]
}

#[tokio::test]
#[ignore = "what_differs_is_named_and_what_is_late_is_not: a minute or more, in ./dev test all"]
async fn what_differs_is_named_and_what_is_late_is_not() {
    let mut corner = Corner::with("verify", "15", "17", &[], &["-c", "wal_level=logical"]).await;
    corner.fill();
    let v1 = corner.v1_name();
    corner.script(&v1, "postgres", "CREATE TABLE hot (n int PRIMARY KEY, x int); INSERT INTO hot VALUES (1, 0);");
    let (one, two) = corner.followed().await;
    let changing = std::process::Command::new("docker")
        .args([
            "exec",
            &v1,
            "sh",
            "-c",
            "while :; do echo 'UPDATE hot SET x = x + 1; INSERT INTO numbered SELECT coalesce(max(n), 0) + 1 FROM numbered; SELECT pg_sleep(0.005);'; done | psql -X -q -U postgres >/dev/null 2>&1",
        ])
        .spawn()
        .unwrap();
    let [differing, undecided] = compared(&*one, &*two).await;
    assert_eq!(differing, Vec::<String>::new(), "late is not different");
    assert_eq!(undecided, ["postgres.public.hot (1 rows change all the time)"], "and never taken for equal");

    let v2 = corner.v2_name();
    corner.as_admin(
        &v2,
        "SET session_replication_role = replica; UPDATE \"we\"\"ird; --\" SET \"we\"\"ird; --\" = -1 WHERE t = 'é77'",
    );
    corner.as_admin(&v2, "SET session_replication_role = replica; DELETE FROM big WHERE g = 5");
    let [found, _] = compared(&*one, &*two).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("ird") && found[0].contains("(rows (é77))"), "{found:?}");
    assert_eq!(found[1], "postgres.public.big (1 rows, which have no key)");

    // A table of the one side only.
    sql(&v1, "CREATE TABLE later (n int PRIMARY KEY)");
    assert!(compared(&*one, &*two).await[0].contains(&"postgres.public.later".to_owned()));
    drop(Killed(changing));
    two.ensure_not_following().await.unwrap();
    two.ensure_unseeded().await.unwrap();
    corner.server(Side::V1).ensure_unfollowable().await.unwrap();
}

struct Killed(std::process::Child);
impl Drop for Killed {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}
