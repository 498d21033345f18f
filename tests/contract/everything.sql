CREATE ROLE reader;
CREATE ROLE "App ""x""" LOGIN PASSWORD 'it''s secret' CONNECTION LIMIT 7 VALID UNTIL '2040-01-01' IN ROLE reader;
CREATE ROLE boss CREATEDB CREATEROLE BYPASSRLS;
GRANT boss TO "App ""x""" WITH ADMIN OPTION;
ALTER ROLE "App ""x""" SET work_mem = '7MB';
ALTER ROLE "App ""x""" IN DATABASE postgres SET search_path = "we ird", public;
ALTER DATABASE postgres SET statement_timeout = '99s';
ALTER DATABASE postgres SET search_path = "$user", public, "we ird";
COMMENT ON DATABASE postgres IS 'a ''comment''';
GRANT CONNECT, TEMPORARY ON DATABASE postgres TO reader;
CREATE SCHEMA "we ird" AUTHORIZATION boss;
COMMENT ON SCHEMA "we ird" IS 'weird';
GRANT USAGE ON SCHEMA "we ird" TO reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA "we ird" GRANT SELECT ON TABLES TO reader;
CREATE EXTENSION pg_trgm WITH SCHEMA "we ird";
CREATE EXTENSION btree_gist;
CREATE EXTENSION postgres_fdw;
CREATE COLLATION "we ird".german (provider = icu, locale = 'de-u-co-phonebk');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy ü');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE spans AS RANGE (subtype = float8);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE down INCREMENT -3 MINVALUE -1000 MAXVALUE 10 START 5 CACHE 4 CYCLE;
CREATE SEQUENCE never_used START 77;
CREATE SEQUENCE set_only;
SELECT setval('set_only', 123, false);
SELECT nextval('down') FROM generate_series(1, 9);
CREATE TABLE kinds (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, big bigserial, m mood DEFAULT 'ok', ms mood[], p pair, ps pair[], s spans,
  d positive, n numeric, f float8, r real, t text COLLATE "we ird".german, v varchar(20), c char(5), b bytea, j jsonb, u uuid,
  ts timestamptz, tz timetz, iv interval, ip inet, bits bit varying(9), x xml, money money, cls regclass, tsv tsvector,
  twice int GENERATED ALWAYS AS (d * 2) STORED, gone int, arr int[], late timestamp DEFAULT 'infinity', o oid,
  CONSTRAINT some_rule CHECK (n IS NULL OR n <> -13)
);
ALTER TABLE kinds DROP COLUMN gone;
ALTER TABLE kinds ALTER COLUMN b SET STORAGE EXTERNAL;
ALTER TABLE kinds ALTER COLUMN t SET STATISTICS 300;
COMMENT ON COLUMN kinds.t IS 'a text';
INSERT INTO kinds (m, ms, p, ps, s, d, n, f, r, t, v, c, b, j, u, ts, tz, iv, ip, bits, x, money, cls, tsv, arr, o)
  SELECT (enum_range(NULL::mood))[1 + g % 3], ARRAY['sad', 'happy ü']::mood[], ROW(g, E'a\t\\b\n')::pair, ARRAY[ROW(1, NULL)::pair],
    spans(0, g), g, CASE WHEN g % 7 = 0 THEN 'NaN' ELSE g / 3.0 END, 'infinity', g / 7.0, repeat('ä', g % 9) || g, 'v' || g, 'c',
    decode(md5(g::text), 'hex'), jsonb_build_object('g', g, 'ü', NULL), md5(g::text)::uuid, now() - g * interval '1 hour',
    '12:00:00+05', g * interval '1 day 2 hours', '10.0.0.1', B'101', '<a>b</a>', g, 'kinds', to_tsvector('simple', 'a b'),
    ARRAY[g, NULL], g FROM generate_series(1, 500) g;
INSERT INTO kinds DEFAULT VALUES;
CREATE INDEX kinds_t ON kinds (t);
CREATE INDEX kinds_trgm ON kinds USING gin (v "we ird".gin_trgm_ops);
CREATE INDEX kinds_part ON kinds (lower(v)) WHERE n > 5;
CREATE STATISTICS kinds_s ON m, d FROM kinds;
CREATE TABLE child (n int REFERENCES kinds DEFERRABLE INITIALLY DEFERRED, during tsrange, EXCLUDE USING gist (n WITH =, during WITH &&));
ALTER TABLE child ADD PRIMARY KEY (n);
ALTER TABLE child ADD CONSTRAINT later FOREIGN KEY (n) REFERENCES kinds (id) NOT VALID;
INSERT INTO child SELECT g, tsrange('2020-01-01', '2021-01-01') FROM generate_series(1, 50) g;
CREATE TABLE parts (at date NOT NULL, n int NOT NULL, PRIMARY KEY (at, n)) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (n);
CREATE TABLE parts_1_a PARTITION OF parts_1 FOR VALUES IN (1, 2, 3);
CREATE TABLE parts_1_b PARTITION OF parts_1 DEFAULT;
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT date '2020-01-01' + g, g FROM generate_series(0, 900) g;
CREATE TABLE hashed (n int PRIMARY KEY) PARTITION BY HASH (n);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT generate_series(1, 100);
CREATE TABLE parent (n int PRIMARY KEY, t text);
CREATE TABLE heir (extra int, PRIMARY KEY (n)) INHERITS (parent);
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO heir VALUES (2, 'heir', 3);
CREATE TABLE keyless (n int, t text);
INSERT INTO keyless VALUES (1, 'a'), (1, 'a'), (2, NULL);
CREATE TABLE by_index (n int NOT NULL, m int NOT NULL, t text, UNIQUE (n, m));
INSERT INTO by_index SELECT g, g, 'x' FROM generate_series(1, 100) g;
CREATE TABLE "no columns" ();
CREATE TABLE audit (n bigserial PRIMARY KEY, what text);
CREATE TABLE secret (n int PRIMARY KEY, owner text);
INSERT INTO secret SELECT g, 'me' FROM generate_series(1, 20) g;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, OWNER TO boss;
CREATE POLICY mine ON secret USING (owner = current_user) WITH CHECK (n > 0);
GRANT SELECT (n), UPDATE ON secret TO reader;
CREATE UNLOGGED TABLE volatile_rows (n int PRIMARY KEY);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS
  $$ BEGIN INSERT INTO audit (what) VALUES (TG_NAME || ' ' || TG_OP); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER usual AFTER INSERT OR UPDATE OR DELETE ON keyless FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER always AFTER INSERT OR UPDATE OR DELETE ON by_index FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE by_index ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER off BEFORE INSERT ON parent FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE parent DISABLE TRIGGER off;
CREATE RULE quiet AS ON DELETE TO heir DO ALSO NOTHING;
CREATE VIEW happy AS SELECT id, t FROM kinds WHERE m = 'happy ü';
GRANT SELECT ON happy TO reader;
CREATE MATERIALIZED VIEW summary AS SELECT m, count(*) FROM kinds GROUP BY m;
CREATE UNIQUE INDEX ON summary (m);
CREATE FUNCTION add(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE RETURN a + b;
CREATE PROCEDURE nothing() LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE AGGREGATE total(int) (SFUNC = add, STYPE = int, INITCOND = '0');
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE CAST (mood AS text) WITH INOUT;
CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
CREATE PUBLICATION theirs FOR TABLE kinds WITH (publish = 'insert');
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'nowhere');
CREATE USER MAPPING FOR boss SERVER elsewhere OPTIONS (user 'x', password 'y');
CREATE FOREIGN TABLE far (n int) SERVER elsewhere;
CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit (what) VALUES (TG_TAG); END $$;
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION seen();
SELECT lo_from_bytea(4711, 'a large object');
COMMENT ON LARGE OBJECT 4711 IS 'large';
GRANT SELECT ON LARGE OBJECT 4711 TO reader;
