// The organization in whose name the present request or job works, in an AsyncLocalStorage: it follows
// await, timers and promises, and never leaks into another request. This package decides nothing: forget
// it somewhere, and the database refuses the statement.
import { AsyncLocalStorage } from 'node:async_hooks';

import { ContextMissing } from './errors.js';

export * from './errors.js';

const storage = new AsyncLocalStorage();
const UNSCOPED = Symbol('no organization, on purpose');

/** organization, epoch, token, subject, permissions, actingOrganization, requestId; immutable. */
export class Context {
  #token;
  #refresh;
  constructor({ organization, epoch, token, subject = '', permissions = [], actingOrganization = '',
                requestId = '', refresh = null }) {
    this.organization = String(organization);
    this.epoch = Number(epoch);
    this.subject = subject;
    this.permissions = new Set(permissions);
    this.actingOrganization = actingOrganization;
    this.requestId = requestId;
    this.#token = token; // private: worth a minute of this organization's data, so nothing prints it
    this.#refresh = refresh;
    Object.freeze(this);
  }

  /** The token to enter with: of this context, or, in a job, one that is far enough from its end. */
  async freshToken() {
    return this.#refresh ? await this.#refresh() : this.#token;
  }

  get token() { return this.#token; }
  get refreshes() { return this.#refresh !== null; }

  /** From the fields that the door sets; `headers` as node:http gives them. Null without a context. */
  static fromHeaders(headers) {
    const one = (name) => (typeof headers[name] === 'string' ? headers[name] : '');
    const token = one('domicile-context');
    const organization = one('domicile-organization');
    if (!token || !organization) return null;
    const epoch = one('domicile-epoch');
    return new Context({
      organization,
      epoch: /^\d+$/.test(epoch) ? Number(epoch) : 0,
      token,
      subject: one('domicile-subject'),
      permissions: one('domicile-permissions').split(' ').filter(Boolean),
      actingOrganization: one('domicile-acting-organization'),
      requestId: one('domicile-request-id'),
    });
  }
}

/** Runs `work` in the name of `context`; gives what it returns. */
export function use(context, work) { return storage.run(context, work); }

/** Deliberately no organization: transactions within do not enter, and see no organization's rows. */
export function unscoped(work) { return storage.run(UNSCOPED, work); }

export function current() {
  const found = storage.getStore();
  return found instanceof Context ? found : null;
}

export function required() {
  const found = current();
  if (!found) throw new ContextMissing('no organization context here');
  return found;
}

export function isUnscoped() { return storage.getStore() === UNSCOPED; }
