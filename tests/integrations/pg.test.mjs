// @domicile/node against the real pg, Drizzle, Knex, Express and Fastify, a guarded region and a PgBouncer.
// Run by tests/system/test_integration_node.py, which gives everything in DOMICILE_TEST (JSON).
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { after, test } from 'node:test';
import { inspect } from 'node:util';

import { and, eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { bigint, pgSchema, text } from 'drizzle-orm/pg-core';
import express from 'express';
import fastify from 'fastify';
import knex from 'knex';
import pg from 'pg';
import Cursor from 'pg-cursor';

import * as dom from './domicile/src/index.js';
import { errorHandler, fastifyPlugin, middleware } from './domicile/src/http.js';
import { guard } from './domicile/src/pg.js';

const given = JSON.parse(process.env.DOMICILE_TEST);
const { own, other, absent } = given;
const guarded = guard(pg);

function token(key, { seconds = 50, epoch = 1, secret = given.secret, database = given.database_id } = {}) {
  const head = ['dc1', given.kid, key, epoch, database, Math.floor(Date.now() / 1000) + seconds, randomBytes(8).toString('hex')].join('~');
  return `${head}~${createHmac('sha256', Buffer.from(secret, 'hex')).update(head).digest('hex')}`;
}
const context = (key, change) => new dom.Context({ organization: key, epoch: 1, token: token(key, change) });
const as = (key, work, change) => dom.use(context(key, change), work);

const pools = [];
function open(dsn = given.dsn, max = 4) {
  const pool = new guarded.Pool({ connectionString: dsn, max });
  pool.on('error', () => {}); // an idle connection that was ended
  pools.push(pool);
  return pool;
}
after(() => Promise.all(pools.map((pool) => pool.end())));
const pool = open();
const ORGS = 'SELECT DISTINCT org_id FROM app.course';
const orgs = async (from) => (await from.query(ORGS)).rows.map((row) => row.org_id).join();

test('a statement outside of any transaction gets one of its own', async () => {
  await as(own, async () => {
    assert.equal(await orgs(pool), own);
    assert.equal((await pool.query('SELECT $1::text AS given', ['x'])).rows[0].given, 'x');
    assert.equal((await pool.query({ text: ORGS, rowMode: 'array' })).rows[0][0], own);
    const client = await pool.connect();
    assert.equal(await orgs(client), own);
    assert.equal((await client.query('SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS open')).rows[0].open, true);
    client.release();
  });
});

test('callbacks work as they do in pg', async () => {
  await as(own, () => new Promise((resolve, reject) => {
    pool.query('SELECT $1::int AS n', [3], (error, result) => {
      if (error) return reject(error);
      assert.equal(result.rows[0].n, 3);
      assert.equal(dom.current().organization, own);
      pool.query('SELECT nothing', (failed) => { assert.match(failed.message, /nothing/); resolve(); });
    });
  }));
});

test('without a context nothing is sent', async () => {
  await assert.rejects(pool.query(ORGS), dom.ContextMissing);
  await assert.rejects(pool.transaction((client) => client.query(ORGS)), dom.ContextMissing);
});

test('unscoped reads reference data, and nothing of an organization', async () => {
  await dom.unscoped(async () => {
    assert.ok((await pool.query('SELECT count(*) FROM app.country')).rows[0].count > 0);
    await assert.rejects(pool.query(ORGS), dom.ContextMissing);
  });
});

test('each transaction enters by itself, after commit and rollback alike', async () => {
  await as(own, async () => {
    const client = await pool.connect();
    for (const end of ['COMMIT', 'ROLLBACK', 'END', 'abort;', 'COMMIT']) {
      await client.query('begin isolation level repeatable read');
      assert.equal(await orgs(client), own);
      await client.query(end);
    }
    client.release();
  });
});

test('a transaction does not change its organization', async () => {
  const client = await as(own, async () => {
    const mine = await pool.connect();
    await mine.query('BEGIN');
    return mine;
  });
  await as(other, () => assert.rejects(client.query('SELECT 1'), dom.WrongOrganization));
  await assert.rejects(client.query('SELECT 1'), dom.ContextMissing);
  await client.query('ROLLBACK');
  client.release();
});

test('statements sent without waiting stay in their transaction', async () => {
  const client = await pool.connect();
  const found = await Promise.all([
    as(own, () => Promise.all([client.query('BEGIN'), orgs(client), client.query('COMMIT')])),
    as(other, () => Promise.all([client.query('BEGIN'), orgs(client), client.query('ROLLBACK')])),
    as(own, () => orgs(client)), as(other, () => orgs(client))]);
  client.release();
  assert.deepEqual([found[0][1], found[1][1], found[2], found[3]], [own, other, own, other]);
});

test('savepoints keep the context', async () => {
  await as(own, () => pool.transaction(async (client) => {
    await client.query('SAVEPOINT s');
    await assert.rejects(client.query('SELECT 1/0'), { code: '22012' });
    await client.query('ROLLBACK TO SAVEPOINT s');
    assert.equal(await orgs(client), own);
  }));
});

test('transaction control together with other statements is refused', async () => {
  await as(own, async () => {
    const client = await pool.connect();
    for (const words of ['COMMIT; BEGIN', 'BEGIN; SELECT 1', 'COMMIT AND CHAIN', '/* a */ rollback; select 1']) {
      await assert.rejects(client.query(words), dom.AutocommitRefused, words);
    }
    await client.query('COMMIT AND NO CHAIN').catch(() => {});
    client.release();
    assert.equal(await orgs(pool), own);
  });
});

test('a context that does not count says why, and leaves the pool well', async () => {
  for (const [change, kind] of [[{ seconds: -20 }, dom.ContextExpired], [{ seconds: 600 }, dom.ContextExpired],
    [{ secret: '00'.repeat(32) }, dom.ContextInvalid], [{ epoch: 2 }, dom.NotServedHere],
    [{ database: 'ab' }, dom.NotServedHere]]) {
    for (const way of [() => pool.query('SELECT 1'), () => pool.transaction(() => {})]) {
      await as(own, () => assert.rejects(way(), (error) => {
        assert.ok(error instanceof kind, inspect(error));
        assert.ok(error.remedy && error.message.includes(error.remedy));
        assert.doesNotMatch(inspect(error, { depth: 9 }), /dc1~/);
        return true;
      }), change);
    }
  }
  await as(absent, () => assert.rejects(pool.query('SELECT 1'), dom.NotServedHere));
  await as(own, async () => assert.equal(await orgs(pool), own));
  assert.doesNotMatch(inspect(context(own), { depth: 9, showHidden: true }), /dc1~/);
});

test('a row of another organization is named so', async () => {
  await as(own, () => assert.rejects(pool.query('INSERT INTO app.course VALUES ($1, 981, $2)', [other, 'x']),
    (error) => ['wrong_organization', 'refused_by_guard'].includes(error.code)));
  await as(own, () => assert.rejects(pool.query('SELECT * FROM app.nowhere'), { code: '42P01' }));
});

test('prepared statements follow the transaction', async () => {
  const one = open(given.dsn, 1);
  for (let i = 0; i < 6; i += 1) {
    const key = i % 2 ? own : other;
    const found = await as(key, () => one.query({ name: 'orgs', text: ORGS }));
    assert.deepEqual(found.rows.map((row) => row.org_id), [key]);
  }
});

test('cursors need a transaction, and work in one', async () => {
  await as(own, async () => {
    const client = await pool.connect();
    assert.throws(() => client.query(new Cursor(ORGS)), dom.AutocommitRefused);
    await client.query('BEGIN');
    const cursor = client.query(new Cursor(ORGS));
    assert.deepEqual((await cursor.read(10)).map((row) => row.org_id), [own]);
    await cursor.close();
    await client.query('COMMIT');
    client.release();
  });
});

test('a lost connection is replaced and enters again', async () => {
  const one = open(given.dsn, 1);
  const killer = new pg.Client(given.superuser);
  await killer.connect();
  await as(own, async () => {
    await assert.rejects(one.transaction(async (client) => {
      const { pid } = (await client.query('SELECT pg_backend_pid() AS pid')).rows[0];
      await killer.query('SELECT pg_terminate_backend($1)', [pid]);
      await client.query('SELECT pg_sleep(5)');
    }));
    assert.equal(await orgs(one), own);
  });
  await killer.end();
});

test('a job fetches a fresh token for each transaction, in order', async () => {
  let fetched = 0;
  const job = new dom.Context({ organization: own, epoch: 1, token: '', refresh: async () => {
    fetched += 1;
    await new Promise((resolve) => setImmediate(resolve));
    return token(own);
  } });
  await dom.use(job, async () => {
    const client = await pool.connect();
    const found = await Promise.all([orgs(client), client.query('BEGIN'), orgs(client),
      client.query('SELECT count(*) AS n FROM app.course'), client.query('COMMIT'), orgs(client)]);
    client.release();
    assert.deepEqual([found[0], found[2], found[5]], [own, own, own]);
  });
  assert.equal(fetched, 3);
  const broken = new dom.Context({ organization: own, epoch: 1, token: '', refresh: async () => { throw new dom.NodeUnavailable('down'); } });
  await dom.use(broken, async () => {
    await assert.rejects(pool.query('SELECT 1'), dom.NodeUnavailable);
    await assert.rejects(pool.transaction(() => {}), dom.NodeUnavailable);
  });
  await as(own, async () => assert.equal(await orgs(pool), own));
});

for (const [name, dsn] of [['direct', given.dsn], ['PgBouncer in transaction mode', given.pgbouncer]]) {
  test(`two organizations over one pool never see each other: ${name}`, async () => {
    const shared = open(dsn, 4);
    const wrong = [];
    let done = 0;
    const one = async (number) => {
      const key = number % 2 ? own : other;
      await as(key, async () => {
        const way = number % 5;
        let found;
        if (way === 0) found = await orgs(shared);
        else if (way === 1) found = await new Promise((resolve, reject) => shared.query(ORGS, (error, result) => (error ? reject(error) : resolve(result.rows[0].org_id))));
        else if (way === 2) {
          found = await new Promise((resolve, reject) => shared.connect((error, client, release) => {
            if (error) { reject(error); return; }
            client.query(ORGS, (failed, result) => { release(); if (failed) reject(failed); else resolve(result.rows[0].org_id); });
          }));
        } else if (way === 3) {
          await shared.transaction(async (client) => { found = await orgs(client); throw new Error('undo'); }).catch((error) => {
            if (error.message !== 'undo') throw error;
          });
        } else found = await shared.transaction((client) => orgs(client));
        if (found !== key) wrong.push([key, found, way]);
        done += 1;
      });
    };
    for (let round = 0; round < 3000; round += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, i) => one(round + i)));
    }
    assert.deepEqual(wrong.slice(0, 3), []);
    assert.equal(done, 3000);
  });
}

test('Drizzle: queries and transactions, through PgBouncer, two organizations at once', async () => {
  const course = pgSchema('app').table('course', { orgId: bigint('org_id', { mode: 'bigint' }), id: bigint('id', { mode: 'number' }), title: text('title') });
  const db = drizzle(open(given.pgbouncer));
  const all = Array.from({ length: 200 }, (_, i) => (i % 2 ? own : other));
  const found = await Promise.all(all.map((key) => as(key, async () => {
    const outside = await db.selectDistinct({ org: course.orgId }).from(course);
    const inside = await db.transaction(async (tx) => {
      await tx.transaction(async (nested) => { await nested.execute(sql`SELECT 1`); });
      return tx.selectDistinct({ org: course.orgId }).from(course);
    });
    return [...outside, ...inside].every((row) => String(row.org) === key);
  })));
  assert.ok(found.every(Boolean));
  await as(own, async () => {
    await assert.rejects(db.transaction(async (tx) => {
      await tx.insert(course).values({ orgId: BigInt(own), id: 971, title: 'undone' });
      tx.rollback();
    }));
    assert.equal((await db.select().from(course).where(and(eq(course.id, 971)))).length, 0);
    await assert.rejects(db.insert(course).values({ orgId: BigInt(other), id: 972, title: 'x' }), (error) => {
      const cause = error instanceof dom.DomicileError ? error : error.cause; // newer Drizzle wraps
      return ['wrong_organization', 'refused_by_guard'].includes(cause.code);
    });
  });
  await assert.rejects(db.select().from(course));
});

test('Knex: queries and transactions, two organizations at once', async () => {
  const { default: PostgresClient } = await import('knex/lib/dialects/postgres/index.js');
  class KnexClient extends PostgresClient { _driver() { return guarded; } }
  const db = knex({ client: KnexClient, connection: given.dsn, pool: { min: 0, max: 3 } });
  const all = Array.from({ length: 60 }, (_, i) => (i % 2 ? own : other));
  const found = await Promise.all(all.map((key) => as(key, async () => {
    const outside = await db('app.course').distinct('org_id');
    const inside = await db.transaction((trx) => trx('app.course').distinct('org_id'));
    return [...outside, ...inside].every((row) => row.org_id === key);
  })));
  assert.ok(found.every(Boolean));
  await db.destroy();
});

const fields = (key, change) => ({ 'domicile-organization': key, 'domicile-epoch': '1', 'domicile-context': token(key, change), 'domicile-request-id': 'r-9' });
async function get(port, headers) {
  const [response] = await once(http.get({ port, path: '/courses', headers }), 'response');
  const parts = [];
  for await (const part of response) parts.push(part);
  return { status: response.statusCode, body: JSON.parse(Buffer.concat(parts)) };
}

test('Express: concurrent requests of two organizations, and problem answers', async () => {
  const app = express();
  app.use(middleware());
  app.get('/courses', async (request, response, next) => {
    try { response.json({ orgs: await orgs(pool) }); } catch (error) { next(error); }
  });
  app.use(errorHandler({ log: () => {} }));
  const server = app.listen(0);
  await once(server, 'listening');
  const { port } = server.address();
  const all = Array.from({ length: 400 }, (_, i) => (i % 2 ? own : other));
  const found = await Promise.all(all.map((key) => get(port, fields(key))));
  assert.ok(found.every((answer, i) => answer.body.orgs === all[i]));
  const late = await get(port, fields(own, { seconds: -30 }));
  assert.deepEqual([late.status, late.body.reason, late.body.request_id], [503, 'context_expired', 'r-9']);
  assert.deepEqual((await get(port, {})).body.reason, 'context_missing');
  server.close();
  server.closeAllConnections();
});

test('Fastify: concurrent requests of two organizations, and the status of an error', async () => {
  const app = fastify();
  app.register(fastifyPlugin);
  app.get('/courses', async () => ({ orgs: await orgs(pool) }));
  await app.ready();
  const all = Array.from({ length: 100 }, (_, i) => (i % 2 ? own : other));
  const found = await Promise.all(all.map((key) => app.inject({ url: '/courses', headers: fields(key) })));
  assert.ok(found.every((answer, i) => answer.json().orgs === all[i]));
  assert.equal((await app.inject({ url: '/courses', headers: fields(own, { seconds: -30 }) })).statusCode, 503);
  await app.close();
});
