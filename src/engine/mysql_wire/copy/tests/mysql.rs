//! MySQL to MySQL.

use std::time::Duration;

use super::super::{Speed, accounts, fit_teller, inventory, objects, rows, tables};
use super::filling::{ACCOUNTS, COMMON, LATE_RIGHTS, PROGRAMS};
use super::server::{Server, assert_accounts, assert_alike, assert_programs, assert_tables, filled};
use crate::tell::Teller;
use crate::wait::Limit;

const IMAGE: &str = "switchover-test/mysql:9.7";

pub(super) const FAST: Speed<'static> =
    Speed { most: None, total: Limit { name: "test", value: Duration::from_secs(600) } };

/// What MySQL has and MariaDB has not.
const OWN: &[&str] = &[
    "CREATE TABLE shop.hidden (a int INVISIBLE DEFAULT 7, b vector(3), c json, PRIMARY KEY (a), \
        g geometry NOT NULL SRID 4326, SPATIAL INDEX (g))",
    "INSERT INTO shop.hidden (a, b, c, g) VALUES (1, TO_VECTOR('[1,2.5,-3]'), JSON_OBJECT('d', CAST('1.10' AS DECIMAL(5,2))), \
        ST_GeomFromText('POINT(10 20)', 4326)), (2, NULL, JSON_ARRAY(CURRENT_DATE, 1e0), ST_GeomFromText('POINT(1 2)', 4326))",
    "SET SESSION sql_generate_invisible_primary_key = 1",
    "CREATE TABLE shop.without (v varchar(10))",
    "INSERT INTO shop.without VALUES ('x'), ('x')",
    "SET SESSION sql_generate_invisible_primary_key = 0",
];

const ROLES: &[&str] = &[
    "CREATE ROLE reader, `wri``ter`@'10.%'",
    "GRANT SELECT ON shop.* TO reader",
    "GRANT INSERT, UPDATE ON shop.* TO `wri``ter`@'10.%'",
    "GRANT reader TO client@'%' WITH ADMIN OPTION",
    "GRANT `wri``ter`@'10.%' TO client@'%', other@'10.%'",
    "SET DEFAULT ROLE ALL TO client@'%'",
    "CREATE USER limited@'%' IDENTIFIED WITH caching_sha2_password BY 'x' FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 2 \
        PASSWORD HISTORY 5 COMMENT 'it''s'",
    "GRANT BACKUP_ADMIN, SYSTEM_VARIABLES_ADMIN ON *.* TO limited@'%' WITH GRANT OPTION",
    "ALTER USER limited@'%' IDENTIFIED BY 'y' RETAIN CURRENT PASSWORD",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_there_while_others_write() {
    let (one, two) = (Server::start(IMAGE, &[]), Server::start(IMAGE, &["--local-infile=ON"]));
    let v1 = one.session().await;
    for part in [COMMON, OWN, ACCOUNTS, ROLES, PROGRAMS, LATE_RIGHTS] {
        filled(&v1, part).await;
    }
    let v2 = two.session().await;
    let all = inventory(&v1, &[]).await.unwrap();
    assert!(all.not_carried.is_empty(), "{:?}", all.not_carried);
    let writing = one.session().await;
    let writer = tokio::spawn(async move {
        for n in 0.. {
            let insert = format!("INSERT INTO shop.orders (customer, note) VALUES (1, 'n{n}')");
            if writing.run(&insert).await.is_err() {
                return;
            }
        }
    });
    for _again in 0..2 {
        tables(&v1, &v2, &all).await.unwrap();
        let (readers, view) = one.readers(3).await;
        let writers = two.writers(3).await;
        let copied = rows(&readers, &writers, &all, &Teller::silent(), FAST)
            .await
            .unwrap_or_else(|t| panic!("{}", t.one_line()));
        let (count, seen) = assert_alike(view.as_ref(), two.view().await.as_ref()).await;
        assert_eq!((count, seen), (all.tables.len(), copied.rows));
    }
    writer.abort();
    fit_teller(&v2).await.unwrap();
    assert_tables(&v1, &v2, &all).await;
    v2.run("CREATE USER gone@'%'").await.unwrap();
    for _again in 0..2 {
        let done = accounts(&v1, &v2, &[]).await.unwrap_or_else(|t| panic!("{}", t.one_line()));
        assert_eq!(done.not_carried, ["the second password of 'limited'@'%'"]);
        tables(&v1, &v2, &all).await.unwrap();
        let them = objects(&v1, &all).await.unwrap_or_else(|t| panic!("{}", t.one_line()));
        let broken = them.make(&v1, &v2).await.unwrap_or_else(|t| panic!("{}", t.one_line()));
        assert_eq!(broken, ["view `shop`.`broken`"]);
        done.finish(&v2).await.unwrap();
    }
    // A session without a schema of its own: views are shown with those of what they use.
    let v2 = two.session().await;
    fit_teller(&v2).await.unwrap();
    assert_programs(&v1, &v2, &all).await;
    assert_accounts(&v1, &v2).await;
    let client = two.login("client", "client").await.unwrap();
    assert_eq!(client.text("SELECT six FROM shop.m_mid LIMIT 1").await.unwrap(), None);
}
