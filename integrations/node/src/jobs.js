// Work that outlives its request: queues, schedulers, workers. A context lives a minute, so a job cannot
// carry one. It carries who it is for (organization, epoch, request id), which is worth nothing by itself;
// the worker asks its region's node for a context whenever a transaction needs one, as a service of that
// very organization:
//
//   queue.add({ domicile: ticketOf(required()), ... });                                    // in the request
//
//   const source = new ContextSource('https://ca.example.com', { credentials: secretsOf }); // in the worker
//   await source.workFor(job.domicile, async () => { ... });                               // transactions enter
//
// `credentials(organization)` gives { clientId, clientSecret } of the organization's own service. A stolen
// or altered job names another organization in vain: the node compares it with the service's own. A job
// from before the organization's last move is refused with reason `stale_job`.
import http from 'node:http';
import https from 'node:https';

import { ContextRefused, NodeUnavailable } from './errors.js';
import { Context, use } from './index.js';

const SPARE_S = 20; // a context with less than this left is replaced before a transaction begins
const ANSWER_BYTES_MAX = 65536;

export function ticketOf(context) {
  return { organization: context.organization, epoch: context.epoch, requestId: context.requestId };
}

function checkedTicket(value) {
  if (typeof value?.organization !== 'string' || !value.organization || !Number.isSafeInteger(value.epoch)) {
    throw new TypeError('not a ticket: organization (text) and epoch (number) are needed');
  }
  return { organization: value.organization, epoch: value.epoch, requestId: String(value.requestId ?? '') };
}

export class ContextSource {
  #url; #credentials; #ca; #timeoutMs; #now;
  #tokens = new Map();   // organization -> { token, expiresAt }
  #contexts = new Map(); // organization/epoch -> { token, expiresAt }

  constructor(nodeUrl, { credentials, ca, timeoutMs = 10_000, now = () => Date.now() / 1000 }) {
    this.#url = new URL(nodeUrl);
    if (this.#url.protocol !== 'https:' && !['127.0.0.1', 'localhost', '[::1]'].includes(this.#url.hostname)) {
      throw new TypeError('a node is reached over https');
    }
    this.#credentials = credentials;
    this.#ca = ca;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
  }

  /** Transactions in `work` enter the ticket's organization, each with a context that is fresh. */
  async workFor(ticket, work) { return use(await this.context(ticket), work); }

  async context(ticket) {
    const { organization, epoch, requestId } = checkedTicket(ticket);
    const token = await this.#contextToken(organization, epoch);
    return new Context({ organization, epoch, token, requestId, refresh: () => this.#contextToken(organization, epoch) });
  }

  async #contextToken(organization, epoch) {
    const name = `${organization}/${epoch}`;
    const known = this.#contexts.get(name);
    if (known && known.expiresAt - this.#now() > SPARE_S) return known.token;
    const answer = await this.#ask(organization, epoch);
    for (const [key, value] of this.#contexts) if (value.expiresAt <= this.#now()) this.#contexts.delete(key);
    this.#contexts.set(name, { token: answer.context, expiresAt: answer.expires_at });
    return answer.context;
  }

  async #ask(organization, epoch) {
    for (const again of [false, true]) {
      const { status, answer } = await this.#post('/v1/context', {
        authorization: `Bearer ${await this.#accessToken(organization, again)}`,
        'domicile-organization': organization, 'domicile-epoch': String(epoch),
      });
      if (status !== 401 || again) return checked(status, answer, 'a context');
    }
    throw new Error('unreachable');
  }

  async #accessToken(organization, anew) {
    const known = this.#tokens.get(organization);
    if (known && !anew && known.expiresAt - this.#now() > 30) return known.token;
    const { clientId, clientSecret } = await this.#credentials(organization);
    const encode = (text) => encodeURIComponent(text).replace(/%20/g, '+');
    const basic = Buffer.from(`${encode(clientId)}:${encode(clientSecret)}`).toString('base64');
    const reply = await this.#post('/oauth2/token', {
      authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded',
    }, 'grant_type=client_credentials&scope=context%3Aissue');
    const answer = checked(reply.status, reply.answer, 'an access token');
    this.#tokens.set(organization, { token: answer.access_token, expiresAt: this.#now() + (answer.expires_in ?? 60) });
    return answer.access_token;
  }

  #post(path, headers, body = '') {
    const request = this.#url.protocol === 'https:' ? https.request : http.request;
    return new Promise((resolve, reject) => {
      const fail = (error) => reject(new NodeUnavailable(`the node cannot be reached: ${error.message}`, { cause: error }));
      const call = request(new URL(path, this.#url), {
        method: 'POST', ca: this.#ca, headers: { ...headers, 'content-length': Buffer.byteLength(body) },
        signal: AbortSignal.timeout(this.#timeoutMs),
      }, (response) => {
        const parts = [];
        let size = 0;
        response.on('data', (part) => {
          size += part.length;
          if (size <= ANSWER_BYTES_MAX) { parts.push(part); return; }
          fail(new Error('its answer is too long'));
          call.destroy();
        });
        response.on('error', fail);
        response.on('end', () => resolve({ status: response.statusCode, answer: parsed(Buffer.concat(parts)) }));
      });
      call.on('error', fail);
      call.end(body);
    });
  }
}

function parsed(bytes) {
  try {
    const value = JSON.parse(bytes.toString('utf8'));
    return value && typeof value === 'object' ? value : {};
  } catch {
    return {};
  }
}

function checked(status, answer, what) {
  if (status === 200) return answer;
  const reason = String(answer.reason ?? answer.error ?? '');
  if (status >= 500 || status === 429) throw new NodeUnavailable(`the node did not give ${what}: ${status} ${reason}`);
  throw Object.assign(new ContextRefused(`the node refused ${what}: ${status} ${reason}`), { reason, httpStatus: status });
}
