//! How fast rows go over, beside one dump that is piped into one client.

use std::time::Instant;

use super::super::{inventory, rows, tables};
use super::mysql::FAST;
use super::server::{Server, docker, filled};
use crate::tell::Teller;

/// Rows of each table: about 128 MB.
const ROWS: u64 = 600_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and a gigabyte"]
async fn a_gigabyte_in_eight_tables() {
    for (image, dump, client) in [
        ("switchover-test/mysql:9.7", "mysqldump", "mysql"),
        ("switchover-test/mariadb:11.8", "mariadb-dump", "mariadb"),
    ] {
        let one = Server::start(image, &["--innodb-buffer-pool-size=1G"]);
        let two = Server::start(image, &["--local-infile=ON", "--innodb-buffer-pool-size=1G"]);
        let v1 = one.session().await;
        fill(&v1).await;
        let v2 = two.session().await;
        let all = inventory(&v1, &[]).await.unwrap();
        for pairs in [2, 4] {
            tables(&v1, &v2, &all).await.unwrap();
            let (readers, _view) = one.readers(pairs).await;
            let writers = two.writers(pairs).await;
            let began = Instant::now();
            let copied = rows(&readers, &writers, &all, &Teller::silent(), FAST).await.unwrap();
            let took = began.elapsed();
            eprintln!("{image}, {pairs} pairs: {copied:?} in {took:.1?}");
        }
        tables(&v1, &v2, &all).await.unwrap();
        let began = Instant::now();
        let pipe = format!(
            "{dump} -h{} -uroot -psecret --single-transaction --no-create-info bench | \
             {client} -uroot -psecret --init-command='SET sql_log_bin = 0' bench",
            docker(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", &one.id])
        );
        docker(&["exec", &two.id, "sh", "-c", &pipe]);
        let took = began.elapsed();
        let there = v2.number("SELECT COUNT(*) FROM bench.t8").await.unwrap();
        assert_eq!(there, Some(ROWS));
        eprintln!("{image}, one dump: {took:.1?}");
    }
}

async fn fill(v1: &super::super::super::session::Session) {
    filled(v1, &["SET SESSION sql_log_bin = 0, unique_checks = 0", "CREATE DATABASE bench"]).await;
    let table = "CREATE TABLE bench.t1 (id bigint PRIMARY KEY AUTO_INCREMENT, a int, b varchar(100), c varchar(100), \
                 d datetime(6), e decimal(12,2), KEY (a))";
    filled(v1, &[table, "INSERT INTO bench.t1 (a) VALUES (1)"]).await;
    let row = "(RAND() * 1e9) AS a, CONCAT(REPEAT(UUID(), 2), '\\n') AS b, REPEAT(UUID(), 2) AS c, NOW(6) AS d, RAND() * 1e6 AS e";
    for _ in 0..20 {
        let left = ROWS - v1.number("SELECT COUNT(*) FROM bench.t1").await.unwrap().unwrap();
        v1.run(&format!("INSERT INTO bench.t1 (a, b, c, d, e) SELECT {row} FROM bench.t1 LIMIT {left}")).await.unwrap();
    }
    for n in 2..=8 {
        let (make, copy) = (
            format!("CREATE TABLE bench.t{n} LIKE bench.t1"),
            format!("INSERT INTO bench.t{n} SELECT * FROM bench.t1"),
        );
        filled(v1, &[&make, &copy]).await;
    }
    let analyze: Vec<String> = (1..=8).map(|n| format!("bench.t{n}")).collect();
    v1.rows(&format!("ANALYZE TABLE {}", analyze.join(", "))).await.unwrap();
}
