// An AWS API Gateway Lambda authorizer that asks the region's node: /authorize decides, and the node's
// event log has the decision. For REST APIs (TOKEN and REQUEST events) and HTTP APIs (payloads 1.0 and 2.0,
// IAM policies and simple responses). Whatever is not a clear yes is a no: a timeout, an answer that is not
// a node's, a request that could be read in two ways.
//
// Environment: DOMICILE_URL, DOMICILE_PROXY_TOKEN (or _FILE), DOMICILE_CA_FILE, DOMICILE_TIMEOUT_MS (2000),
// DOMICILE_FORWARD_HEADERS (names of headers in which routes find their organization, with commas between),
// DOMICILE_SIMPLE_RESPONSES (payload 2.0: "true" unless the API wants IAM policies).
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

const ANSWER_BYTES_MAX = 16384;
const IDENTITY = ['organization', 'subject', 'permissions', 'epoch', 'context', 'acting-organization', 'request-id'];

/** What the event says about the request; null when it cannot be read in one way. */
export function requestOf(event) {
  const headers = {};
  for (const [name, value] of Object.entries(event?.headers ?? {})) {
    if (name.toLowerCase() in headers) return null;
    headers[name.toLowerCase()] = value;
  }
  for (const [name, values] of Object.entries(event?.multiValueHeaders ?? {})) {
    if (name.toLowerCase() === 'authorization' && values?.length > 1) return null;
  }
  if (event?.version === '2.0') {
    const { http: line, stage } = event.requestContext ?? {};
    let path = event.rawPath;
    if (typeof path === 'string' && stage && stage !== '$default') {
      if (path !== `/${stage}` && !path.startsWith(`/${stage}/`)) return null;
      path = path.slice(stage.length + 1) || '/';
    }
    return complete({ method: line?.method, path, authorization: headers.authorization, headers,
                      ip: line?.sourceIp, arn: event.routeArn });
  }
  if (event?.type === 'TOKEN') {
    // arn:aws:execute-api:region:account:api/stage/METHOD/path
    const [, method, rest] = /^arn:[^:]*:execute-api:[^:]*:[^:]*:[^/]+\/[^/]+\/([A-Z]+)\/(.*)$/s.exec(event.methodArn ?? '') ?? [];
    return complete({ method, path: rest === undefined ? undefined : `/${rest}`, authorization: event.authorizationToken,
                      headers: {}, arn: event.methodArn });
  }
  if (event?.type === 'REQUEST') {
    return complete({ method: event.httpMethod, path: event.path, authorization: headers.authorization, headers,
                      ip: event.requestContext?.identity?.sourceIp, arn: event.methodArn });
  }
  return null;
}

function complete(request) {
  if (typeof request.method !== 'string' || !/^[A-Z]+$/.test(request.method)) return null;
  if (typeof request.path !== 'string' || !request.path.startsWith('/')) return null;
  if (typeof request.arn !== 'string' || !request.arn.startsWith('arn:')) return null;
  if (request.authorization !== undefined && !/^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(request.authorization)) return null;
  // Characters that a URL does not hold (API Gateway decodes some) are escaped; the node refuses what
  // remains ambiguous.
  request.path = request.path.replace(/[^\x21-\x7e]|["<>\\^`{|}?#]/gu, (c) => encodeURIComponent(c));
  return request;
}

export function createHandler({ url, proxyToken = '', ca, timeoutMs = 2000, forwardHeaders = [], simpleResponses = true,
                                log = console.log } = {}) {
  const base = new URL(url);
  if (base.protocol !== 'https:' && !['127.0.0.1', 'localhost', '[::1]'].includes(base.hostname)) {
    throw new TypeError('DOMICILE_URL must be https');
  }
  const transport = base.protocol === 'https:' ? https : http;
  const agent = new transport.Agent({ keepAlive: true });

  function ask(request) {
    const headers = { 'x-forwarded-method': request.method, 'x-forwarded-uri': request.path };
    if (request.authorization) headers.authorization = request.authorization;
    if (proxyToken) headers['domicile-proxy-token'] = proxyToken;
    if (request.ip) headers['x-forwarded-for'] = request.ip;
    for (const name of forwardHeaders) {
      if (request.headers[name] !== undefined) headers[name] = request.headers[name];
    }
    return new Promise((resolve, reject) => {
      const call = transport.request(new URL('/authorize', base), { agent, ca, headers, signal: AbortSignal.timeout(timeoutMs) }, (answer) => {
        let size = 0;
        answer.on('data', (part) => {
          size += part.length;
          if (size <= ANSWER_BYTES_MAX) return;
          reject(new Error('answer too long'));
          call.destroy();
        });
        answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers }));
        answer.on('error', reject);
      });
      call.on('error', reject);
      call.end();
    });
  }

  async function decide(event) {
    const request = requestOf(event);
    if (!request) return { allowed: false, reason: 'bad_event' };
    // In a policy these are wildcards: the answer would speak of more than was asked.
    if (/[*?]|\$\{/.test(request.arn)) return { allowed: false, reason: 'bad_resource' };
    let answer;
    try {
      answer = await ask(request);
    } catch (error) {
      return { allowed: false, reason: error.name === 'TimeoutError' || error.name === 'AbortError' ? 'node_timeout' : 'node_unavailable' };
    }
    const identity = {};
    for (const name of IDENTITY) {
      const value = answer.headers[`domicile-${name}`];
      if (typeof value === 'string') identity[name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase())] = value;
    }
    if (answer.status !== 200) {
      return { allowed: false, unauthenticated: answer.status === 401, requestId: identity.requestId,
               reason: answer.headers['domicile-reason'] ?? `node_${answer.status}` };
    }
    if (!vouchedFor(identity)) return { allowed: false, reason: 'malformed_answer' };
    return { allowed: true, identity };
  }

  return async function handler(event) {
    const decision = await decide(event);
    const arn = event?.methodArn ?? event?.routeArn ?? '*';
    if (!decision.allowed) log(JSON.stringify({ decision: 'deny', reason: decision.reason, request_id: decision.requestId }));
    const context = decision.allowed ? decision.identity : { reason: decision.reason };
    if (event?.version === '2.0' && simpleResponses) return { isAuthorized: decision.allowed, context };
    if (decision.unauthenticated && event?.version !== '2.0') throw new Error('Unauthorized'); // API Gateway's word for 401
    return {
      principalId: decision.identity?.subject || 'nobody',
      policyDocument: {
        Version: '2012-10-17',
        Statement: [{ Action: 'execute-api:Invoke', Effect: decision.allowed ? 'Allow' : 'Deny', Resource: decision.allowed ? arn : '*' }],
      },
      context,
    };
  };
}

// A node's yes names its request, and its context is for the organization and epoch that it names.
function vouchedFor({ requestId, organization, epoch, context }) {
  if (!requestId) return false;
  if (!organization && !context) return true; // a public route about no organization
  const parts = (context ?? '').split('~');
  return parts.length === 8 && parts[0] === 'dc1' && parts[2] === organization && parts[3] === epoch;
}

let configured;
/** The Lambda function's entry: configured by its environment when it is first called. */
export async function handler(event) {
  configured ??= createHandler(fromEnvironment(process.env));
  return configured(event);
}

export function fromEnvironment(env) {
  if (!env.DOMICILE_URL) throw new TypeError('DOMICILE_URL is not set: the address of the region\'s node, https://...');
  const file = (name) => (env[name] ? readFileSync(env[name], 'utf8').trim() : undefined);
  return {
    url: env.DOMICILE_URL,
    proxyToken: env.DOMICILE_PROXY_TOKEN ?? file('DOMICILE_PROXY_TOKEN_FILE') ?? '',
    ca: file('DOMICILE_CA_FILE'),
    timeoutMs: Number(env.DOMICILE_TIMEOUT_MS ?? 2000),
    forwardHeaders: (env.DOMICILE_FORWARD_HEADERS ?? '').split(',').map((name) => name.trim().toLowerCase()).filter(Boolean),
    simpleResponses: (env.DOMICILE_SIMPLE_RESPONSES ?? 'true') === 'true',
  };
}
