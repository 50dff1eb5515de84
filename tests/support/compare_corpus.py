"""Pairs of values that careless comparisons take for the same, and values that are the same however they are written."""

TYPES = """
CREATE TYPE app.mood AS ENUM ('sad', 'Sad', 'happy');
CREATE TYPE app.pair AS (a int, b text);
CREATE DOMAIN app.short AS text CHECK (length(value) < 9);
"""
COLUMNS = {
    "w": "text", "w2": "text", "vc": "varchar(9)", "ch": "char(5)", "n": "numeric", "f8": "float8", "f4": "float4", "i8": "bigint",
    "b": "bytea", "ts": "timestamptz", "tz": "timestamp", "d": "date", "tm": "time", "ttz": "timetz", "iv": "interval", "j": "json", "jb": "jsonb",
    "ai": "int[]", "at": "text[]", "af": "float8[]", "e": "app.mood", "dm": "app.short", "r": "int4range", "tr": "tstzrange",
    "mr": "int4multirange", "c": "app.pair", "ac": "app.pair[]", "u": "uuid", "bo": "boolean", "bt": "bit(4)", "vb": "varbit", "ip": "inet",
    "q": '"char"', "nm": "name", "tv": "tsvector", "x": "xml", "p": "point", "ci": 'text COLLATE "C"', "ct": 'text COLLATE "app"."loose"'}
SCHEMA = f"""
CREATE SCHEMA app AUTHORIZATION app_owner;
SET ROLE app_owner;
CREATE COLLATION app.loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
{TYPES}
CREATE TABLE app.corpus (id int PRIMARY KEY, {", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())});
CREATE TABLE app.keyed (a text, b text, v int, PRIMARY KEY (a, b));
CREATE TABLE app.scaled (k numeric PRIMARY KEY, v int);
CREATE TABLE app.loose (k text COLLATE app.loose PRIMARY KEY, v int);
CREATE TABLE app.parted (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE app.parted_a PARTITION OF app.parted FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.parted_b PARTITION OF app.parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE app.parent (id int PRIMARY KEY, name text UNIQUE, above int REFERENCES app.parent);
CREATE TABLE app.child (id int PRIMARY KEY, parent int NOT NULL REFERENCES app.parent, twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE app.busy (id bigint PRIMARY KEY, n bigint NOT NULL, words text);
CREATE TABLE app.enrolment (org_id bigint NOT NULL, id bigint NOT NULL, parent int NOT NULL REFERENCES app.parent, PRIMARY KEY (org_id, id));
RESET ROLE;
"""
REFERENCE = ["busy", "child", "corpus", "keyed", "loose", "parent", "parted", "scaled"]
CATALOG = ('[catalog]\nversion = 1\nkey_type = "bigint"\nschemas = ["app"]\ndefault_mode = "enforce"\n'
           + "".join(f'[[table]]\nname = "app.{name}"\n{body}\n' for name, body in sorted(
               [(name, 'class = "reference"') for name in REFERENCE] + [("enrolment", 'class = "organization"\nkey = "org_id"')])))

# (column, in the master, in the other region), as SQL
DIFFERENT = [
    ("w", "NULL", "''"), ("w", "'NULL'", "NULL"), ("w", r"'\N'", "NULL"), ("w", "''", "' '"), ("w", "'a '", "'a'"),
    ("w", "E'a\\tb'", "'a b'"), ("w", "E'a\\nb'", "E'a\\r\\nb'"), ("w", "U&'\\00e9'", "U&'e\\0301'"), ("w", "'ﬁ'", "'fi'"),
    ("w", "U&'a\\200bb'", "'ab'"), ("w", "'А'", "'A'"), ("w", "U&'\\+01f600'", "U&'\\+01f601'"), ("w", "'ß'", "'ss'"), ("w", "repeat('x', 100000)", "repeat('x', 99999) || 'y'"),
    ("vc", "'a'", "'A'"), ("ch", "'ab'", "'abc'"), ("ci", "'é'", "'e'"), ("ct", "'straße'", "'STRASSE'"), ("ct", "'cote'", "'côté'"),
    ("n", "1.0", "1.00"), ("n", "'NaN'", "NULL"), ("n", "0", "NULL"), ("n", "1e30", "1e30 + 1"), ("n", "0.1", "0.10000000000000000001"),
    ("n", "'Infinity'", "'-Infinity'"), ("f8", "'-0'", "'0'"), ("f8", "'NaN'", "NULL"), ("f8", "0.1", "0.10000000000000002"),
    ("f8", "'Infinity'", "1.7976931348623157e308"), ("f8", "5e-324", "0"), ("f4", "'-0'", "0"), ("f4", "0.1", "0.10000001"), ("i8", "-1", "4294967295"),
    ("b", r"'\x00'", r"'\x0000'"), ("b", "''", "NULL"), ("b", r"'\x5c'", r"'\x5c5c'"), ("b", r"'\x80'", r"'\x00'"),
    ("ts", "'2026-01-01 00:00:00.000001+00'", "'2026-01-01 00:00:00.000002+00'"), ("ts", "'infinity'", "'-infinity'"),
    ("ts", "'2026-01-01 00:00+00'", "'2026-01-01 00:00+01'"), ("tz", "'0044-03-15 BC'", "'0044-03-15'"), ("d", "'2026-02-28'", "'2026-03-01'"),
    ("tm", "'23:59:59.999999'", "'24:00'"), ("ttz", "'10:00+00'", "'11:00+01'"), ("iv", "'1 day'", "'24 hours'"), ("iv", "'1 month'", "'30 days'"),
    ("iv", "'0'", "'0.000001 s'"), ("j", """'{"a":1,"b":2}'""", """'{"b":2,"a":1}'"""), ("j", "'{ }'", "'{}'"), ("jb", "'null'", "NULL"),
    ("jb", "'1.0'", "'1.00'"), ("jb", """'{"a":null}'""", "'{}'"), ("jb", "'[]'", "'{}'"), ("ai", "'{1}'", "'{{1}}'"), ("ai", "'{1}'", "'[0:0]={1}'"),
    ("ai", "'{}'", "NULL"), ("ai", "'{NULL}'", "'{}'"), ("at", "'{NULL}'", """'{"NULL"}'"""), ("at", """'{"a,b"}'""", "'{a,b}'"), ("at", """'{""}'""", "'{}'"),
    ("af", "'{-0}'", "'{0}'"), ("e", "'sad'", "'Sad'"), ("e", "'sad'", "NULL"), ("dm", "'a'", "'b'"), ("r", "'[1,5)'", "'[1,6)'"), ("r", "'empty'", "NULL"),
    ("r", "'(,)'", "'[0,)'"), ("tr", "'[2026-01-01 00:00+00,2026-01-02 00:00+00)'", "'[2026-01-01 00:00+00,2026-01-02 00:00+00]'"),
    ("mr", "'{[1,2),[5,6)}'", "'{[1,2),[5,7)}'"), ("c", "ROW(1, NULL)", "ROW(1, '')"), ("c", "ROW(NULL, NULL)", "NULL"), ("c", "ROW(1, 'a,b')", "ROW(1, 'a')"),
    ("ac", "ARRAY[ROW(1, 'x')::app.pair]", "ARRAY[ROW(1, 'y')::app.pair]"), ("u", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000010'"),
    ("bo", "false", "NULL"), ("bt", "'0001'", "'0010'"), ("vb", "'0'", "'00'"), ("vb", "''", "NULL"), ("ip", "'10.0.0.1/8'", "'10.0.0.1'"), ("ip", "'::1'", "'0.0.0.1'"),
    ("q", "'a'", "'b'"), ("nm", "'a'", "'b'"), ("tv", "'a:1'", "'a:2'"), ("x", "'<a/>'", "'<a></a>'"), ("p", "'(1,2)'", "'(2,1)'"),
]
# Two columns at once: what joins fields with something between them confuses.
SHIFTED = [("'ab', 'c'", "'a', 'bc'"), ("'a|b', 'c'", "'a', 'b|c'"), ("NULL, 'a'", "'a', NULL"), ("'', 'a'", "'a', ''"), ("'a', NULL", "'a', ''"),
           ("E'\\u0001', ''", "'', E'\\u0001'"), ("'NULL', NULL", "NULL, 'NULL'"), ("'12', '3'", "'1', '23'")]
# The same value, written otherwise: never a difference.
SAME = [("f8", "'Infinity'::float8 - 'Infinity'::float8", "'NaN'"), ("jb", """'{"b":1,"a":2}'""", """'{"a":2,"b":1}'"""), ("jb", "'{\"a\":1,\"a\":2}'", "'{\"a\":2}'"),
        ("ts", "'2026-01-01 12:00+00'", "'2026-01-01 13:00+01'"), ("n", "1e2", "100"), ("b", r"'\xAB'", r"'\xab'"), ("e", "'happy'", "'happy'"), ("r", "'[1,4]'", "'[1,5)'"),
        ("ip", "'::ffff:1.2.3.4'", "'::FFFF:1.2.3.4'"), ("iv", "'12 months'", "'1 year'"), ("u", "'0F2C9A7E-52A4-4F0E-9D55-6A1F0C1D2E01'", "'0f2c9a7e52a44f0e9d556a1f0c1d2e01'"),
        ("tv", "'b a'", "'a b'"), ("ch", "'ab'", "'ab   '")]


def master_rows() -> str:
    """The corpus in the master region; ids from 1 for DIFFERENT, 1000 for SHIFTED, 2000 for SAME."""
    sql = [f"INSERT INTO app.corpus (id, {column}) VALUES ({i}, {value});" for i, (column, value, _) in enumerate(DIFFERENT, 1)]
    sql += [f"INSERT INTO app.corpus (id, w, w2) VALUES ({i}, {values});" for i, (values, _) in enumerate(SHIFTED, 1000)]
    sql += [f"INSERT INTO app.corpus (id, {column}) VALUES ({i}, {value});" for i, (column, value, _) in enumerate(SAME, 2000)]
    return "\n".join(sql)


def planted_rows() -> str:
    """What somebody makes of it in another region."""
    sql = [f"UPDATE app.corpus SET {column} = {value} WHERE id = {i};" for i, (column, _, value) in enumerate(DIFFERENT, 1)]
    sql += [f"UPDATE app.corpus SET (w, w2) = ROW({values}) WHERE id = {i};" for i, (_, values) in enumerate(SHIFTED, 1000)]
    sql += [f"UPDATE app.corpus SET {column} = {value} WHERE id = {i};" for i, (column, _, value) in enumerate(SAME, 2000)]
    return "\n".join(sql)
