//! What the first server holds: every type, and names that would be something else if they were not quoted.

/// Both servers know it.
pub(super) const COMMON: &[&str] = &[
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
    "SET GLOBAL log_bin_trust_function_creators = 1",
    "CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
    "CREATE DATABASE `we``ird; DROP \"x\" 'y' \\` CHARACTER SET latin1 COLLATE latin1_german1_ci",
    "CREATE DATABASE empty_one",
    "CREATE TABLE shop.types (
        id int unsigned NOT NULL AUTO_INCREMENT, ti tinyint, si smallint unsigned, mi mediumint, bi bigint unsigned,
        d decimal(65,30), f float, f2 float(7,4), db double, db2 double(20,3), b1 bit(1), b64 bit(64),
        dt date, t time(6), dtm datetime(6), ts timestamp(6) NULL DEFAULT NULL, y year,
        c char(10), vc varchar(200), vl varchar(50) CHARACTER SET latin1, v16 varchar(50) CHARACTER SET utf16,
        v4 varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, bn binary(5), vb varbinary(50),
        e enum('', 'a', 'ä', '2', '1'), e2 enum('x','y') NOT NULL, s set('a','b','c d'''), tx text CHARACTER SET utf16,
        lt longtext CHARACTER SET latin1, lb longblob, j json, g geometry, g2 point,
        gen int GENERATED ALWAYS AS (ti * 2) STORED, gen2 varchar(50) GENERATED ALWAYS AS (concat(vc, 'x')) VIRTUAL,
        `tab\tnew\nline``'\"\\` varchar(10), `select` int, PRIMARY KEY (id), KEY (gen2), FULLTEXT KEY (vc)
        ) ENGINE=InnoDB AUTO_INCREMENT=4711",
    "INSERT INTO shop.types (id, e2) VALUES (1, 'x')",
    "INSERT INTO shop.types (id, ti, si, mi, bi, d, f, f2, db, db2, b1, b64, dt, t, dtm, ts, y, c, vc, vl, v16, v4, bn, vb,
        e, e2, s, tx, lt, lb, j, g, g2, `tab\tnew\nline``'\"\\`, `select`) VALUES
      (2, -128, 65535, -8388608, 18446744073709551615, 12345678901234567890123456789012345.123456789012345678901234567890,
       3.4028235e38, 123.4567, 1.7976931348623157e308, 12345678901234567.125, b'1', 18446744073709551615, '9999-12-31',
       '-838:59:59', '1000-01-01 00:00:00.000001', '2038-01-19 03:14:07.999999', 2155, 'ab ', ' trailing  ', 'äöü€', '😀x',
       '😀', 'a', X'00095C0A0D1A27', 'ä', 'y', 'a,b', '😀 utf16', 'äöü', X'00FF', '{\"a\": [1, 2.5, \"\\\\n😀\", null]}',
       ST_GeomFromText('POLYGON((0 0,0 3,3 3,3 0,0 0),(1 1,1 2,2 2,2 1,1 1))'), ST_GeomFromText('POINT(1.5 -2.5)', 0),
       '\\\\N', 1)",
    "INSERT INTO shop.types (id, f, f2, db, db2, b64, dt, t, dtm, ts, y, c, vc, vl, v16, bn, vb, e, e2, s, tx, lt, lb,
        `tab\tnew\nline``'\"\\`) VALUES
      (3, 0.1, 0.0001, 0.1, 0.001, 0, '0000-00-00', '00:00:00.5', '0000-00-00 00:00:00', '0000-00-00 00:00:00', 0, '', '',
       '', '', '', '', '', 'x', '', '', '', '', ''),
      (4, -0e0, 999.9999, -0e0, -0.001, 92, '2020-00-15', '00:00:00', '2020-02-30 12:00:00', NULL, 1901, 'N', '\\\\N',
       '\\\\', '\\n', '\\t\\n\\0', '\\\\\\\\', 2, 'x', 'c d''', '\\\\N', '\\t\\n\\0\\\\', '\\t\\n\\0\\\\', 'NULL'),
      (5, 1.17549435e-38, 1.1, 2.2250738585072014e-308, 1e15, 1, NULL, NULL, NULL, '1970-01-01 00:00:01', NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, 'q', NULL, NULL, NULL, NULL, NULL)",
    // A value that is none of the members is kept as such.
    "INSERT INTO shop.types (id, e, e2, vc) SELECT id + 100, 'none', 'none', CONCAT('x', id) FROM shop.types",
    "INSERT INTO shop.types (id, e2, lb) VALUES (50, 'x', REPEAT(X'00095C0A27FF1A', 3000000))",
    "INSERT INTO shop.types (id, e2, vc, f) VALUES (0, 'x', 'a zero is kept', 16777216)",
    "CREATE TABLE shop.no_key (a int, b varchar(20), KEY (a))",
    "INSERT INTO shop.no_key VALUES (1, 'x'), (1, 'x'), (NULL, NULL), (1, ''), (NULL, '')",
    "CREATE TABLE shop.one_text (t varchar(20))",
    "INSERT INTO shop.one_text VALUES (''), (''), (NULL), ('\\\\N'), ('x')",
    "CREATE TABLE shop.my (id int PRIMARY KEY, t text) ENGINE=MyISAM",
    "INSERT INTO shop.my VALUES (1, 'mine'), (-1, '')",
    "CREATE TABLE shop.parts (id bigint NOT NULL, at date NOT NULL, v varchar(20), PRIMARY KEY (id, at)) \
        PARTITION BY RANGE COLUMNS (at) (PARTITION a VALUES LESS THAN ('2000-01-01'), PARTITION b VALUES LESS THAN (MAXVALUE))",
    "INSERT INTO shop.parts VALUES (1, '1999-01-01', 'old'), (2, '2024-01-01', 'new')",
    "CREATE TABLE shop.customers (id int PRIMARY KEY AUTO_INCREMENT, name varchar(50) CHARACTER SET latin1 DEFAULT 'ä', \
        bin binary(3) DEFAULT 'a\\0b')",
    "CREATE TABLE shop.orders (id bigint unsigned PRIMARY KEY AUTO_INCREMENT, customer int, note varchar(200), \
        CONSTRAINT `fk``x` FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE, CHECK (note <> 'never'))",
    "INSERT INTO shop.customers (name) VALUES ('Ärger'), ('x')",
    "INSERT INTO shop.orders (customer, note) VALUES (1, 'first'), (2, 'second')",
    "CREATE TABLE `we``ird; DROP \"x\" 'y' \\`.`t\t``ab'\"\\` (`k` varchar(50) NOT NULL, `%s {}\n;` varbinary(20) NOT NULL, \
        n int, PRIMARY KEY (`k`, `%s {}\n;`))",
    "INSERT INTO `we``ird; DROP \"x\" 'y' \\`.`t\t``ab'\"\\` VALUES ('a''b', X'00', 1), ('ä', X'FF5C', NULL), ('', '', 2)",
    "CREATE TABLE shop.audit (at datetime(6), what varchar(100))",
];

/// What acts on rows, with its makers' settings.
pub(super) const PROGRAMS: &[&str] = &[
    "CREATE FUNCTION shop.twice(n int) RETURNS int DETERMINISTIC RETURN n * 2",
    "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'",
    "CREATE PROCEDURE shop.`p``x '\"`(IN \"a b\" int, OUT o varchar(50)) COMMENT 'it''s here' \
        BEGIN SELECT 'back\\slash' || \"a b\" INTO o; END",
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
    // A view that stands before those it uses.
    "CREATE VIEW shop.z_base AS SELECT id, note, shop.twice(3) AS six FROM shop.orders",
    "CREATE VIEW shop.m_mid AS SELECT id, six FROM shop.z_base",
    "CREATE SQL SECURITY INVOKER VIEW shop.a_top AS SELECT m.id, 'ä`''\\\\' AS t FROM shop.m_mid AS m WITH CHECK OPTION",
    "CREATE VIEW `we``ird; DROP \"x\" 'y' \\`.`v ``w` AS SELECT * FROM shop.a_top",
    "CREATE DEFINER = `other`@`10.%` VIEW shop.of_other AS SELECT id FROM shop.m_mid",
    "CREATE TABLE shop.gone (a int)",
    "CREATE VIEW shop.broken AS SELECT a FROM shop.gone",
    "DROP TABLE shop.gone",
    "CREATE TRIGGER shop.z_first BEFORE INSERT ON shop.orders FOR EACH ROW SET NEW.note = CONCAT(NEW.note, '1')",
    "CREATE TRIGGER shop.a_second BEFORE INSERT ON shop.orders FOR EACH ROW SET NEW.note = CONCAT(NEW.note, '2')",
    "CREATE TRIGGER shop.between BEFORE INSERT ON shop.orders FOR EACH ROW FOLLOWS z_first SET NEW.note = CONCAT(NEW.note, 'x')",
    "SET SESSION time_zone = '+05:00'",
    "CREATE EVENT shop.on_time ON SCHEDULE EVERY 1 HOUR STARTS '2030-01-01 00:00:00' COMMENT 'é' DO DELETE FROM shop.audit",
    "CREATE EVENT shop.off ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DISABLE DO BEGIN END",
    "SET SESSION time_zone = '+00:00'",
    "ALTER DATABASE shop COLLATE latin1_swedish_ci",
    "CREATE PROCEDURE shop.of_another(a varchar(10)) SELECT a",
    "ALTER DATABASE shop COLLATE utf8mb4_general_ci",
    "SET NAMES latin1",
    "CREATE DEFINER = `other`@`10.%` PROCEDURE shop.of_latin1() SELECT 'a' AS x",
    "SET NAMES utf8mb4",
];

/// Both servers know it.
pub(super) const ACCOUNTS: &[&str] = &[
    "CREATE USER other@'10.%' IDENTIFIED BY 'o''ther' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 7",
    "GRANT SELECT, CREATE VIEW, SHOW VIEW ON shop.* TO other@'10.%' WITH GRANT OPTION",
    "GRANT EXECUTE ON *.* TO other@'10.%'",
    "CREATE USER 'o`x ''y'@'%' IDENTIFIED BY 'client' ACCOUNT LOCK",
    "GRANT INSERT (note, customer), SELECT ON shop.orders TO 'o`x ''y'@'%'",
    "CREATE USER client@'%' IDENTIFIED BY 'client'",
    "GRANT ALL ON shop.* TO client@'%'",
    "CREATE USER expired@'%' IDENTIFIED BY 'x' PASSWORD EXPIRE",
];
/// Rights on what is made last.
pub(super) const LATE_RIGHTS: &[&str] = &[
    "GRANT EXECUTE ON FUNCTION shop.twice TO 'o`x ''y'@'%'",
    "GRANT SELECT ON shop.a_top TO 'o`x ''y'@'%'",
    // Root from elsewhere than its host may not give this.
    "INSERT INTO mysql.proxies_priv (User, Host, Proxied_user, Proxied_host, Grantor) VALUES ('other', '10.%', 'client', '%', '')",
    "FLUSH LOCAL PRIVILEGES",
];
