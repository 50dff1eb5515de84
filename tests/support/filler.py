"""Rows for a schema whose truth is known: every organization has its own, and they refer only to each other
and to what is shared. Keys that nobody declared are listed in the truth file, section [undeclared].
"""

import datetime
import json
import random
import re
import uuid

from psycopg import sql

COLUMNS = """
SELECT c.oid::int, n.nspname, c.relname, c.relkind, a.attnum, a.attname, t.typname, t.typtype, t.typcategory, a.attnotnull,
       a.atthasdef, CASE WHEN a.atttypmod > 4 AND t.typname IN ('varchar', 'bpchar') THEN a.atttypmod - 4 END,
       (SELECT min(enumlabel) FROM pg_enum WHERE enumtypid = t.oid)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
   AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1, 5"""

KEYS = """
SELECT conrelid::int, confrelid::int, conkey::int[], confkey::int[] FROM pg_constraint
 WHERE contype = 'f' AND conparentid = 0 ORDER BY oid"""


class Table:
    def __init__(self, schema, name):
        self.schema, self.name = schema, name
        self.columns, self.keys, self.rows = {}, [], []


def read(connection):
    tables, numbers = {}, {}
    for oid, schema, name, _, number, column, *rest in connection.execute(COLUMNS):
        table = tables.setdefault(oid, Table(schema, name))
        table.columns[column] = rest
        numbers[oid, number] = column
    for child, parent, here, there in connection.execute(KEYS):
        if child in tables and parent in tables:
            tables[child].keys.append(([numbers[child, n] for n in here], tables[parent], [numbers[parent, n] for n in there]))
    return {(t.name if t.schema == "public" else f"{t.schema}.{t.name}"): t for t in tables.values()}


class Filler:
    def __init__(self, connection, truth, organizations=4, rows=30, seed=7):
        self.connection, self.truth = connection, truth
        self.organizations, self.count = organizations, rows
        self.random = random.Random(seed)
        self.tables = read(connection)
        for child, parent in truth.get("undeclared", {}).items():
            (here, column), (there, key) = child.rsplit(".", 1), parent.rsplit(".", 1)
            self.tables[here].keys.append(([column], self.tables[there], [key]))
        self.answer = {name: truth["tables"].get(name, "organization").split("|")[0] for name in self.tables}
        self.serial = 0

    def head(self, name):
        words = self.answer[name].split(">")[0].split()
        return words[0], (words[1] if len(words) > 1 else None)

    def in_order(self):
        done, left = [], dict(self.tables)
        while left:
            ready = [n for n, t in left.items() if all(p in done or p is t for _, p, _ in t.keys)]
            # A ring of tables: the one with the fewest open keys goes first, its keys stay empty.
            ready = ready or [min(left, key=lambda n: (sum(p in left.values() and any(left[n].columns[c][3] for c in h)
                                                           for h, p, _ in left[n].keys),
                                                       n != self.truth.get("root"), n))]
            for name in ready:
                done.append(left.pop(name))
        names = {id(t): n for n, t in self.tables.items()}
        return [(names[id(t)], t) for t in done]

    def value(self, column, spec):
        type_name, kind, category, _, _, length, label = spec
        self.serial += 1
        n = self.serial
        if kind == "e":
            return label
        if category == "A":
            return "{}"
        day = datetime.date(2026, 1, 2) + datetime.timedelta(days=self.random.randrange(40))
        simple = {"bool": n % 2 == 0, "date": day, "uuid": uuid.UUID(int=self.random.getrandbits(128)), "time": "08:00",
                  "json": json.dumps({"n": n}), "jsonb": json.dumps({"n": n}), "bytea": b"x" * 20, "inet": f"10.0.{n % 200}.1",
                  "int2": n % 30000, "int4": n, "int8": n, "numeric": n % 99, "float8": 1.5, "float4": 1.5, "interval": "1 hour", "money": "1", "cidr": "10.0.0.0/8",
                  "macaddr": "08:00:2b:01:02:03", "point": "(1,2)", "xml": "<a/>", "tsvector": "a", "int4range": "[1,2)"}
        if type_name in simple:
            return simple[type_name]
        if type_name.startswith("timestamp"):
            return datetime.datetime.combine(day, datetime.time(9, n % 60))
        if length and length < 8:
            digits, text = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", ""
            while n and len(text) < length:
                n, rest = divmod(n, 36)
                text = digits[rest] + text
            return text
        return f"{n} {column}"[:length]

    def pick(self, name, parent, organization, own):
        """A row of the parent that a row of this organization may refer to."""
        shared = [r for o, r in parent.rows if o is None]
        mine = [r for o, r in parent.rows if o == organization and organization is not None]
        rows = mine + (shared if not own else [])
        return self.random.choice(rows) if rows else None

    def pairs(self, table, organization, row):
        """Type and number of a row of another table, in the spelling of the columns."""
        keyed = {c for here, _, _ in table.keys for c in here}
        for column in table.columns:
            match = re.fullmatch(r"(.*?)(_?)(type|Type|name|model)", column)
            number = match and next((c for c in table.columns if c not in keyed and c.lower() in
                                     {f"{match[1]}{u}id".lower() for u in ("_", "")}), None)
            if not number or column in keyed or number == column or not match[1]:
                continue
            targets = [(n, r) for n, t in self.tables.items() if self.head(n)[0] == "organization" and t is not table
                       for o, r in t.rows if o == organization and t.rows and isinstance(next(iter(r.values())), int | str)]
            targets = [(n, r) for n, r in targets if self.fits(table.columns[number], next(iter(r.values())))][:200]
            if targets:
                kind, target = self.random.choice(targets)
                if table.columns[column][2] == "S":
                    row[column] = kind.rsplit(".", 1)[-1].rstrip("s").title()[: table.columns[column][5]]
                row[number] = next(iter(target.values()))

    def fits(self, spec, value):
        return isinstance(value, int) == (spec[2] == "N")

    def row(self, name, table, organization):
        kind, key = self.head(name)
        row = {}
        if kind in ("organization", "mixed") and key and name != self.truth.get("root"):
            if key in table.columns:
                row[key] = self.roots[organization] if organization is not None else None
        path = [p.strip() for p in self.answer[name].split(">")[1:]]
        for here, parent, there in table.keys:
            if any(c in row for c in here) and len(here) == 1:
                continue
            # An optional key is left out now and then, but not the one that says whose the row is.
            own = bool(path) and self.tables.get(path[0]) is parent and organization is not None
            if not own and not any(table.columns[c][3] for c in here) and self.random.random() < 0.3:
                continue
            target = self.pick(name, parent, organization, own and kind == "organization")
            if target:
                row.update({h: target[t] for h, t in zip(here, there) if row.get(h) is None or h not in row})
        self.pairs(table, organization, row)
        for column, spec in table.columns.items():
            if column not in row and not any(column in here for here, _, _ in table.keys):
                row[column] = self.value(column, spec)
            row.setdefault(column, None)
        return row

    def owners(self, name):
        kind, _ = self.head(name)
        if name == self.truth.get("root"):
            return list(range(self.organizations))
        if kind in ("organization", "person"):
            return [i % self.organizations for i in range(self.count)]
        if kind == "mixed":
            return [(i % (self.organizations + 1)) or None for i in range(self.count)]
        return [None] * min(self.count, 12)

    def fill(self):
        self.roots = {}
        if "root" not in self.truth:
            make = {"bigint": lambda i: i + 1, "text": lambda i: f"t{i}", "uuid": lambda i: uuid.UUID(int=i + 1)}
            self.roots = {i: make[self.truth["key_type"]](i) for i in range(self.organizations)}
        for name, table in self.in_order():
            for owner in self.owners(name):
                # In a mixed list the owners count from 1, so that none is None.
                row = self.row(name, table, owner % self.organizations if owner is not None else None)
                self.insert(name, table, owner % self.organizations if owner is not None else None, row)
        for schema, view in self.connection.execute("SELECT schemaname, matviewname FROM pg_matviews").fetchall():
            self.connection.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(sql.Identifier(schema, view)))
        self.connection.execute("ANALYZE")
        return {name: len(table.rows) for name, table in self.tables.items()}

    def insert(self, name, table, organization, row):
        row = {c: v for c, v in row.items() if v is not None}
        statement = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({}) ON CONFLICT DO NOTHING RETURNING *").format(
            sql.Identifier(table.schema, table.name), sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)))
        try:
            cursor = self.connection.execute(statement, list(row.values()))
            stored = cursor.fetchone()
        except Exception as error:
            raise AssertionError(f"{name}: {row}: {error}") from error
        if stored:
            kept = dict(zip([d.name for d in cursor.description], stored))
            table.rows.append((organization, kept))
            if name == self.truth.get("root"):
                key = self.head(name)[1] or next(iter(kept))
                self.roots[organization] = kept[key]
