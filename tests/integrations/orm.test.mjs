// @domicile/node under the real Prisma, Sequelize and Koa, on a guarded region.
// Run by tests/system/test_integration_node.py, which gives everything in DOMICILE_TEST (JSON).
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { after, test } from 'node:test';

import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '@prisma/client';
import Koa from 'koa';
import pg from 'pg';
import { DataTypes, Sequelize, Transaction } from 'sequelize';

import * as dom from './domicile/src/index.js';
import { koa } from './domicile/src/http.js';
import { guard } from './domicile/src/pg.js';
import { perOrganization } from './domicile/src/prisma.js';
import { install } from './domicile/src/sequelize.js';

const given = JSON.parse(process.env.DOMICILE_TEST);
const { own, other } = given;
const guarded = guard(pg);

function token(key, seconds = 50) {
  const head = ['dc1', given.kid, key, 1, given.database_id, Math.floor(Date.now() / 1000) + seconds, randomBytes(8).toString('hex')].join('~');
  return `${head}~${createHmac('sha256', Buffer.from(given.secret, 'hex')).update(head).digest('hex')}`;
}
// Prisma's promises are lazy: they are awaited within.
const as = (key, work, seconds) => dom.use(new dom.Context({ organization: key, epoch: 1, token: token(key, seconds) }), async () => await work());
const kind = (error) => error.parent?.code ?? error.code ?? error.cause?.code;

// -- Prisma

const pool = new guarded.Pool({ connectionString: given.dsn, max: 4 });
const plain = new PrismaClient({ adapter: new PrismaPg(pool) });
const prisma = perOrganization(new PrismaPg(pool), (adapter) => new PrismaClient({ adapter }));
const sequelize = install(new Sequelize(given.dsn, { dialect: 'postgres', dialectModule: guarded, logging: false, pool: { max: 3 } }));
const Course = sequelize.define('course', {
  org_id: { type: DataTypes.BIGINT, primaryKey: true }, id: { type: DataTypes.BIGINT, primaryKey: true }, title: DataTypes.TEXT,
}, { schema: 'app', tableName: 'course', timestamps: false });
after(async () => {
  await plain.$disconnect();
  await prisma.$disconnect();
  await pool.end();
  await sequelize.close();
});

const firstOf = async (key) => {
  const found = await as(key, () => prisma.course.findFirst({ orderBy: { id: 'asc' } }));
  return { where: { org_id_id: { org_id: found.org_id, id: found.id } } };
};
const orgsOf = (rows) => [...new Set(rows.map((row) => String(row.org_id)))].join();

test('prisma: each operation sees its own organization, many at a time', async () => {
  const keys = Array.from({ length: 60 }, (_, i) => (i % 2 ? own : other));
  const found = await Promise.all(keys.map((key) => as(key, async () => orgsOf(await prisma.course.findMany()))));
  assert.deepEqual(found, keys);
});

test('prisma: what it collects within one tick is not read in another organization', async () => {
  const unique = await firstOf(own);
  const read = (key) => as(key, () => prisma.course.findUnique(unique));
  for (const order of [[own, other], [other, own], [own, other, own, other, own]]) {
    const found = await Promise.all(order.map(read));
    assert.deepEqual(found.map((row) => row !== null), order.map((key) => key === own), order.join());
  }
  const listed = await Promise.all([own, other].map((key) => as(key, async () => (await prisma.$transaction([prisma.course.findMany()]))[0])));
  assert.deepEqual(listed.map(orgsOf), [own, other]);
  // Why one client is not enough. Should this ever fail, Prisma has changed, and one may be.
  const bare = await Promise.all([own, other].map((key) => as(key, () => plain.course.findUnique(unique))));
  assert.notEqual(bare[1], null, 'Prisma does not join findUnique() of two requests any more');
});

test('prisma: transactions, interactive and in a list, with their isolation level', async () => {
  for (const options of [undefined, { isolationLevel: 'Serializable' }, { isolationLevel: 'RepeatableRead' }]) {
    await as(own, () => prisma.$transaction(async (tx) => {
      assert.equal(orgsOf(await tx.course.findMany()), own);
      const [{ level }] = await tx.$queryRaw`SELECT current_setting('transaction_isolation') AS level`;
      assert.equal(level, { Serializable: 'serializable', RepeatableRead: 'repeatable read' }[options?.isolationLevel] ?? 'read committed');
    }, options));
    const [count, rows] = await as(other, () => prisma.$transaction([prisma.course.count(), prisma.course.findMany()], options));
    assert.deepEqual([count, orgsOf(rows)], [rows.length, other]);
  }
});

test('prisma: interactive transactions of several organizations at once', async () => {
  const keys = Array.from({ length: 12 }, (_, i) => (i % 2 ? own : other));
  const found = await Promise.all(keys.map((key) => as(key, () => prisma.$transaction(async (tx) => {
    const seen = [];
    for (let i = 0; i < 5; i += 1) seen.push(orgsOf(await tx.course.findMany()));
    return [...new Set(seen)].join();
  }, { maxWait: 20000, timeout: 20000 }))));
  assert.deepEqual(found, keys);
});

test('prisma: few clients are kept, and letting one go disturbs nothing', async () => {
  const few = perOrganization(new PrismaPg(pool), (adapter) => new PrismaClient({ adapter }), { clients: 1 });
  const keys = Array.from({ length: 20 }, (_, i) => (i % 2 ? own : other));
  const found = await Promise.all(keys.map((key) => as(key, async () => orgsOf(await few.course.findMany()))));
  assert.deepEqual(found, keys);
  await dom.unscoped(async () => assert.equal((await few.$queryRaw`SELECT count(*)::int AS n FROM app.country`)[0].n > 0, true));
  assert.throws(() => few.$extends({}), TypeError);
  await few.$disconnect();
});

test('prisma: a transaction that fails leaves nothing, and the pool well', async () => {
  const data = { org_id: BigInt(own), id: 700001n, title: 'x' };
  await assert.rejects(as(own, () => prisma.$transaction(async (tx) => { await tx.course.create({ data }); throw new Error('back'); })), /back/);
  assert.equal(await as(own, () => prisma.course.count({ where: { id: 700001n } })), 0);
  await assert.rejects(as(own, () => prisma.course.create({ data: { ...data, org_id: BigInt(other) } })), (e) => kind(e) === 'wrong_organization');
  await as(own, () => prisma.course.create({ data }));
  assert.equal((await as(own, () => prisma.course.updateMany({ where: { id: 700001n }, data: { title: 'y' } }))).count, 1);
  assert.equal((await as(other, () => prisma.course.deleteMany({ where: { id: 700001n } }))).count, 0);
  assert.equal((await as(own, () => prisma.course.deleteMany({ where: { id: 700001n } }))).count, 1);
});

test('prisma: without a context, or with one that is over, nothing is read', async () => {
  await assert.rejects(async () => { await prisma.course.findMany(); }, dom.ContextMissing);
  await assert.rejects(as(own, () => prisma.course.findMany(), -20), (e) => kind(e) === 'context_expired');
  await assert.rejects(as(own, () => prisma.$transaction(async (tx) => tx.course.count()), -20));
});

// -- Sequelize

test('sequelize: a missing context costs no connection', async () => {
  const before = await connections();
  for (let i = 0; i < 5; i += 1) await assert.rejects(Course.count(), (e) => kind(e) === 'context_missing');
  assert.ok(await connections() <= before + 1);
});

async function connections() {
  const one = new pg.Client(given.superuser);
  await one.connect();
  const { rows } = await one.query("SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = 'app_pool'");
  await one.end();
  return rows[0].n;
}

test('sequelize: each query sees its own organization, many at a time over few connections', async () => {
  const keys = Array.from({ length: 60 }, (_, i) => (i % 2 ? own : other));
  const found = await Promise.all(keys.map((key) => as(key, async () => orgsOf(await Course.findAll({ attributes: ['org_id'] })))));
  assert.deepEqual(found, keys);
});

test('sequelize: transactions, nested ones, and isolation levels', async () => {
  for (const isolationLevel of [undefined, ...Object.values(Transaction.ISOLATION_LEVELS)]) {
    await as(own, () => sequelize.transaction({ isolationLevel }, async (transaction) => {
      assert.equal(orgsOf(await Course.findAll({ transaction })), own);
      const [[{ level }]] = await sequelize.query("SELECT current_setting('transaction_isolation') AS level", { transaction });
      assert.equal(level, (isolationLevel ?? 'READ COMMITTED').toLowerCase());
    }));
  }
  await as(own, () => sequelize.transaction(async (transaction) => {
    await assert.rejects(sequelize.transaction({ transaction }, async (inner) => {
      await Course.create({ org_id: own, id: 800001, title: 'x' }, { transaction: inner });
      throw new Error('back');
    }), /back/);
    assert.equal(await Course.count({ where: { id: 800001 }, transaction }), 0);
  }));
  await as(own, async () => {
    const transaction = await sequelize.transaction();
    await as(other, () => assert.rejects(Course.count({ transaction }), (e) => kind(e) === 'wrong_organization'));
    assert.equal(orgsOf(await Course.findAll({ transaction })), own);
    await transaction.rollback();
  });
  await assert.rejects(as(own, () => Course.create({ org_id: other, id: 800002, title: 'x' })), (e) => kind(e) === 'wrong_organization');
});

// -- Koa

test('koa: each request works in its own organization, and without one it is refused', async () => {
  const app = new Koa();
  app.silent = true;
  app.use(async (context, next) => {
    try { await next(); } catch (error) { context.status = error.status ?? 500; context.body = { reason: error.code }; }
  });
  app.use(koa());
  app.use(async (context) => { context.body = { orgs: orgsOf((await pool.query('SELECT org_id FROM app.course')).rows), now: dom.current().organization }; });
  const server = http.createServer(app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const get = async (key) => {
    const headers = key ? { 'Domicile-Context': token(key), 'Domicile-Organization': key, 'Domicile-Epoch': '1' } : {};
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers });
    return { status: answer.status, ...(await answer.json()) };
  };
  const keys = Array.from({ length: 30 }, (_, i) => (i % 2 ? own : other));
  assert.deepEqual(await Promise.all(keys.map(get)), keys.map((key) => ({ status: 200, orgs: key, now: key })));
  const refused = await get();
  assert.deepEqual([refused.status, refused.reason], [new dom.ContextMissing('').status, 'context_missing']);
  server.close();
});
