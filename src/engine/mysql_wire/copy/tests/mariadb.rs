//! MariaDB to a later MariaDB.

use super::super::{accounts, fit_teller, inventory, objects, rows, tables};
use super::filling::{ACCOUNTS, COMMON, LATE_RIGHTS, PROGRAMS};
use super::mysql::FAST;
use super::server::{Server, assert_accounts, assert_alike, assert_programs, assert_tables, filled};
use crate::tell::Teller;

/// What MariaDB has and MySQL has not.
const OWN: &[&str] = &[
    "CREATE SEQUENCE shop.`nu``m` START WITH 5 INCREMENT BY 3 CACHE 10",
    "SELECT NEXTVAL(shop.`nu``m`)",
    "CREATE TABLE shop.maria (u uuid DEFAULT uuid(), i inet6, i4 inet4, n int DEFAULT NEXTVAL(shop.`nu``m`), \
        j json, hidden int INVISIBLE DEFAULT 3, z text COMPRESSED, PRIMARY KEY (u))",
    "INSERT INTO shop.maria (u, i, i4, j, hidden, z) VALUES ('123e4567-e89b-12d3-a456-426655440000', '::ffff:1.2.3.4', \
        '0.0.0.0', '{\"a\": 1.10}', 9, 'pressed'), ('00000000-0000-0000-0000-000000000000', NULL, NULL, NULL, NULL, NULL)",
    "CREATE TABLE shop.aria (a int PRIMARY KEY) ENGINE=Aria",
    "INSERT INTO shop.aria VALUES (1), (2)",
    "SET SESSION check_constraint_checks = 0",
    "INSERT INTO shop.orders (customer, note) VALUES (1, 'never')",
    "SET SESSION check_constraint_checks = 1",
    "SET SESSION sql_mode = 'ORACLE'",
    "CREATE PACKAGE shop.pack AS FUNCTION f RETURN INT; END",
    "CREATE PACKAGE BODY shop.pack AS FUNCTION f RETURN INT AS BEGIN RETURN 7; END; END",
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
];

const ROLES: &[&str] = &[
    "CREATE ROLE reader",
    "CREATE ROLE `wri``ter` WITH ADMIN client@'%'",
    "GRANT SELECT ON shop.* TO reader",
    "GRANT reader TO `wri``ter`",
    "GRANT INSERT, UPDATE ON shop.* TO `wri``ter`",
    "GRANT reader TO client@'%' WITH ADMIN OPTION",
    "SET DEFAULT ROLE reader FOR client@'%'",
    "CREATE USER two@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('x') OR unix_socket WITH MAX_USER_CONNECTIONS 4",
    "CREATE USER expiring@'%' IDENTIFIED BY 'y' PASSWORD EXPIRE INTERVAL 90 DAY",
];

const OF_ALL: &str = "GRANT SELECT ON shop.orders TO PUBLIC";

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_there_while_others_write() {
    let packet = "--max-allowed-packet=64M";
    let one = Server::start("switchover-test/mariadb:10.11", &[packet]);
    let two = Server::start("switchover-test/mariadb:11.8", &["--local-infile=ON", packet]);
    let v1 = one.session().await;
    for part in [COMMON, OWN, ACCOUNTS, ROLES, PROGRAMS, LATE_RIGHTS, &[OF_ALL]] {
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
        tables(&v1, &v2, &all).await.unwrap_or_else(|t| panic!("{}", t.one_line()));
        let (readers, view) = one.readers(3).await;
        let writers = two.writers(3).await;
        let copied = rows(&readers, &writers, &all, &Teller::silent(), FAST).await;
        let copied = copied.unwrap_or_else(|t| panic!("{}", t.one_line()));
        let (count, seen) = assert_alike(view.as_ref(), two.view().await.as_ref()).await;
        assert_eq!((count, seen), (all.tables.len(), copied.rows));
    }
    writer.abort();
    fit_teller(&v2).await.unwrap();
    assert_tables(&v1, &v2, &all).await;
    v2.run("CREATE USER gone@'%'").await.unwrap();
    v2.run("CREATE ROLE gone_too").await.unwrap();
    for _again in 0..2 {
        let done = accounts(&v1, &v2, &[]).await.unwrap_or_else(|t| panic!("{}", t.one_line()));
        assert!(done.not_carried.is_empty(), "{:?}", done.not_carried);
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
    two.login("client", "client").await.unwrap();
}
