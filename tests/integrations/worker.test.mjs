// A worker in Node against a real node and its database. Run by tests/system/test_integration_service.py.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import pg from 'pg';

import { ContextRefused, NodeUnavailable } from './domicile/src/index.js';
import { ContextSource } from './domicile/src/jobs.js';
import { guard } from './domicile/src/pg.js';

const given = JSON.parse(process.env.DOMICILE_TEST);
const { Pool } = guard(pg);
let asked = 0;
const source = new ContextSource(given.url, {
  ca: readFileSync(given.ca), credentials: () => { asked += 1; return { clientId: given.client, clientSecret: given.secret }; } });

test('a worker of the organization enters it, and only it', async () => {
  const pool = new Pool({ connectionString: given.dsn, max: 2 });
  const ticket = JSON.parse(JSON.stringify({ organization: given.own, epoch: 1, requestId: 'r-1' }));
  for (let i = 0; i < 3; i += 1) {
    const found = await source.workFor(ticket, () => pool.query('SELECT id FROM learning.organization'));
    assert.deepEqual(found.rows.map((row) => String(row.id)), [given.own]);
  }
  assert.equal(asked, 1);
  await assert.rejects(source.workFor({ ...ticket, organization: given.other }, () => pool.query('SELECT 1')),
    (error) => error instanceof ContextRefused && error.reason === 'organization_mismatch');
  await assert.rejects(source.workFor({ ...ticket, epoch: 0 }, () => {}), { reason: 'stale_job' });
  await assert.rejects(source.workFor({ ...ticket, epoch: '1' }, () => {}), TypeError);
  await pool.end();
});

test('a wrong secret is refused, and a node that is away is said so', async () => {
  const wrong = new ContextSource(given.url, { ca: readFileSync(given.ca), credentials: () => ({ clientId: given.client, clientSecret: 'no' }) });
  await assert.rejects(wrong.context({ organization: given.own, epoch: 1 }), { reason: 'invalid_client' });
  const away = new ContextSource('https://127.0.0.1:1', { credentials: () => ({}) });
  await assert.rejects(away.context({ organization: given.own, epoch: 1 }), NodeUnavailable);
});
