"""A database of the size that real ones have: 600 tables, 1,000 foreign keys, most tables deep below the
organizations, lists that many of them use, and (on demand) rows that belong together.
"""


def large_schema(tables=600, foreign_keys=1000):
    """SQL statements and the truth: organizations, people, 40 lists, and trees below the organizations."""
    sql = ["CREATE TABLE organizations (id bigint PRIMARY KEY, slug text UNIQUE NOT NULL)",
           "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, password_hash text)"]
    truth = {"organizations": "organization", "users": "person"}
    sql += [f"CREATE TABLE kind_{i}_types (id serial PRIMARY KEY, code text UNIQUE NOT NULL, name text NOT NULL)" for i in range(40)]
    truth.update({f"kind_{i}_types": "reference" for i in range(40)})
    made = tables - len(truth)
    keys = 0
    for i in range(made):
        columns = ["id bigserial PRIMARY KEY", parent_column(i)]
        keys += 1
        if keys + (made - i) <= foreign_keys:
            columns.append(f"type_id int REFERENCES kind_{i % 40}_types")
            keys += 1
        columns += [f"c{j} text" for j in range(12)]
        sql.append(f"CREATE TABLE thing_{i}s ({', '.join(columns)})")
        truth[f"thing_{i}s"] = "organization"
    assert keys >= foreign_keys - 1 and len(truth) == tables
    return sql, truth


def parent_column(i):
    return ("organization_id bigint NOT NULL REFERENCES organizations" if i < 60 else
            f"thing_{i // 4}_id bigint NOT NULL REFERENCES thing_{i // 4}s")


def fill_large(connection, tables=600, organizations=200, rows=500, large=20, large_rows=100_000):
    """`rows` in each table, `large_rows` in the first ones below a parent; children follow their parents."""
    connection.execute("SET synchronous_commit = off; SET session_replication_role = replica")
    connection.execute("INSERT INTO organizations SELECT i, 's' || i FROM generate_series(1, %s) i", [organizations])
    connection.execute("INSERT INTO users SELECT i, 'u' || i || '@example.org' FROM generate_series(1, 5000) i")
    for i in range(40):
        connection.execute(f"INSERT INTO kind_{i}_types (code, name) SELECT 'c' || i, 'n' || i FROM generate_series(1, 20) i")
    for i in range(tables - 42):
        count = large_rows if 60 <= i < 60 + large else rows
        parents = organizations if i < 60 else rows
        column = parent_column(i).split()[0]
        connection.execute(f"INSERT INTO thing_{i}s ({column}, c0, c1, c2) SELECT 1 + i % {parents}, 'some text ' || i, "
                           f"md5(i::text), 'x' FROM generate_series(1, {count}) i")
    connection.execute("SET session_replication_role = DEFAULT; ANALYZE")
