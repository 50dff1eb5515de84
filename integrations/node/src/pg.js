// node-postgres (`pg`): clients and pools whose every transaction enters the current organization first.
//
//   import pg from 'pg';
//   const { Pool, Client } = guard(pg);       // in place of pg's own; ORMs take the pool (Drizzle, Kysely,
//   const pool = new Pool({ ... });           // Prisma: only as in prisma.js) or the module (Knex, TypeORM,
//                                             // Sequelize: see sequelize.js)
//
// - BEGIN is followed by enter(); a statement outside of any transaction gets one of its own.
// - SET TRANSACTION ISOLATION LEVEL, as ORMs send it after BEGIN, comes too late for PostgreSQL then: the
//   transaction, which did nothing yet, begins again with it.
// - The transaction is bound to the organization that was current at BEGIN: a statement under another one
//   is refused before it is sent.
// - Transaction control must be a statement of its own: in `COMMIT; BEGIN` nobody could enter in between.
// - COMMIT of a transaction that failed is a ROLLBACK in PostgreSQL; as ever, it is answered without error.
//
// The wire's order is what makes this safe without waiting: everything that belongs together is given to
// pg's queue at once, and the queue of one client is first in, first out.
import { AsyncResource } from 'node:async_hooks';

import { AutocommitRefused, ContextMissing, WrongOrganization, translate } from './errors.js';
import { current, isUnscoped } from './index.js';

const ENTER = 'SELECT domicile.enter($1)';
const KIND = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[^]*?\*\/)*(begin|start\s+transaction|commit|end|rollback|abort|prepare\s+transaction)\b(.*)$/is;

/** begin, end, chain, inside (savepoints and all else), or several. */
function controlOf(text) {
  const found = KIND.exec(text);
  if (!found) return 'inside';
  const rest = found[2].replace(/;\s*$/, '');
  if (rest.includes(';')) return 'several';
  const word = found[1].toLowerCase();
  if (word === 'begin' || word.startsWith('start')) return 'begin';
  if (/^(rollback|abort)$/.test(word) && /^\s+(?:work\s+|transaction\s+)?to\b/i.test(rest)) return 'inside';
  if (/\band\s+chain\b/i.test(rest) && !/\bno\s+chain\b/i.test(rest)) return 'several';
  return 'end';
}

const ISOLATION = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[^]*?\*\/)*set\s+transaction\s+(?:read\s+\w+\s*,?\s*)?isolation\b[^;]*;?\s*$/i;
const textOf = (config) => (typeof config === 'string' ? config : typeof config?.text === 'string' ? config.text : null);

export function guard(pg) {
  class Client extends pg.Client {
    #transaction = null; // { organization, begun: its BEGIN until something else was sent } while one is open, by the order of the calls
    #gate = null; // while a token is being fetched

    query(config, values, callback) {
      if (typeof values === 'function') [values, callback] = [undefined, values];
      callback = callback ?? (typeof config === 'object' && config !== null ? config.callback : undefined);
      let answer;
      try {
        answer = this.#guarded(config, values);
      } catch (error) {
        if (config && typeof config.submit === 'function') throw error;
        answer = Promise.reject(error);
      }
      if (answer === null) return super.query(config, values, callback); // a Submittable, inside a transaction
      if (!callback) return answer;
      // Out of the promise's context, so that what the callback throws is not a rejection.
      const back = AsyncResource.bind(callback);
      answer.then((result) => process.nextTick(back, null, result), (error) => process.nextTick(back, error));
      return undefined;
    }

    #send(config, values) {
      const plain = typeof config === 'object' && config !== null && config.callback
        ? { ...config, callback: undefined } : config;
      return super.query(plain, values).catch((error) => { throw translate(error); });
    }

    // In the order of the calls, also while a job's token is being fetched: `run` queues at once what
    // belongs together, and everything after it waits for that, not for the answers.
    #order(token, run) {
      if (!this.#gate && !token) return run();
      const before = this.#gate ?? Promise.resolve();
      const mine = before.then(() => token).then((fetched) => ({ answer: run(fetched) }));
      const gate = mine.then(() => {}, () => {});
      this.#gate = gate;
      gate.then(() => { if (this.#gate === gate) this.#gate = null; });
      return mine.then(({ answer }) => answer);
    }

    #entering(context, run) {
      return context.refreshes ? this.#order(context.freshToken(), run) : this.#order(null, () => run(context.token));
    }

    #guarded(config, values) {
      const streams = typeof config?.submit === 'function';
      const inside = () => {
        if (!streams) return this.#order(null, () => this.#send(config, values));
        if (this.#gate) throw new AutocommitRefused('wait for BEGIN before opening a cursor');
        return null;
      };
      const control = controlOf(textOf(config) ?? '');
      if (control === 'several') {
        throw new AutocommitRefused('transaction control together with other statements, or AND CHAIN');
      }
      if (control === 'end') { // needs no context: ending is always allowed
        this.#transaction = null;
        return inside();
      }
      if (isUnscoped()) {
        if (this.#transaction?.organization) {
          throw new WrongOrganization('this transaction entered an organization: it cannot become unscoped');
        }
        if (control === 'begin') this.#transaction = { organization: null };
        return inside();
      }
      const context = current();
      if (!context) throw new ContextMissing('no organization context here');
      if (this.#transaction) {
        if (this.#transaction.organization === context.organization) {
          const { begun } = this.#transaction;
          this.#transaction.begun = null;
          if (begun && !streams && ISOLATION.test(textOf(config) ?? '')) return this.#beginAgain(context, begun, config, values);
          return inside();
        }
        throw new WrongOrganization('this transaction began for another organization than the current one');
      }
      if (control === 'begin') return this.#begin(context, config, values);
      if (streams) throw new AutocommitRefused('a cursor or stream outside of any transaction');
      return this.#alone(context, config, values);
    }

    #begin(context, config, values) {
      const mine = { organization: context.organization, begun: { config, values } };
      this.#transaction = mine;
      return this.#entering(context, (token) => {
        const begun = this.#send(config, values);
        return Promise.all([begun, this.#send(ENTER, [token])]).then(([result]) => result);
      }).catch((error) => {
        if (this.#transaction === mine) {
          this.#transaction = null;
          this.#order(null, () => this.#send('ROLLBACK')).catch(() => {}); // the connection is gone then
        }
        throw error;
      });
    }

    #beginAgain(context, begun, config, values) {
      return this.#entering(context, (token) => Promise.all([
        this.#send('ROLLBACK'), this.#send(begun.config, begun.values), this.#send(config, values), this.#send(ENTER, [token]),
      ]).then((all) => all[2]));
    }

    // One statement, one transaction: BEGIN, enter, the statement, COMMIT, queued together.
    #alone(context, config, values) {
      return this.#entering(context, (token) => {
        const steps = [this.#send('BEGIN'), this.#send(ENTER, [token]), this.#send(config, values), this.#send('COMMIT')];
        return Promise.allSettled(steps).then((all) => {
          const failed = all.find((one) => one.status === 'rejected'); // the first is the cause
          if (failed) throw failed.reason;
          return all[2].value;
        });
      });
    }
  }

  class Pool extends pg.Pool {
    constructor(options = {}) {
      super({ ...options, Client });
    }

    // A waiting caller is called back from within whoever gave the connection back: bound to its own
    // context, or it would run in the other's.
    connect(callback) {
      if (callback) return super.connect(AsyncResource.bind(callback));
      return super.connect();
    }

    query(config, values, callback) {
      if (typeof values === 'function') [values, callback] = [undefined, values];
      const answer = this.#query(config, values);
      if (!callback) return answer;
      const back = AsyncResource.bind(callback);
      answer.then((result) => process.nextTick(back, null, result), (error) => process.nextTick(back, error));
      return undefined;
    }

    async #query(config, values) {
      const client = await this.connect();
      let broken;
      const notice = (error) => { broken = error; };
      client.once('error', notice);
      try {
        return await client.query(config, values);
      } finally {
        client.removeListener('error', notice);
        client.release(broken);
      }
    }

    /** BEGIN, enter, `work(client)`, COMMIT; ROLLBACK when it throws. Gives what `work` returns. */
    async transaction(work) {
      const client = await this.connect();
      let broken;
      const notice = (error) => { broken = error; };
      client.once('error', notice);
      try {
        await client.query('BEGIN');
        const result = await work(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((failed) => { broken = broken ?? failed; });
        throw error;
      } finally {
        client.removeListener('error', notice);
        client.release(broken);
      }
    }
  }

  return { ...pg, Client, Pool };
}
