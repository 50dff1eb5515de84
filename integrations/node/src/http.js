// Middleware for servers that speak node:http: Express, Connect, Koa and Fastify. The application must be
// reachable through the door alone: its fields are believed for routing and display; the database believes
// only the signed context.
import { DomicileError } from './errors.js';
import { Context, current, use } from './index.js';

/** Express, Connect, Polka: app.use(middleware()). */
export function middleware() {
  return (request, response, next) => use(Context.fromHeaders(request.headers), () => next());
}

/** Express: app.use(errorHandler()) after the routes. Answers problem+json without the database's own words. */
export function errorHandler({ log = console.warn } = {}) {
  return (error, request, response, next) => {
    if (!(error instanceof DomicileError) || response.headersSent) { next(error); return; }
    const requestId = current()?.requestId ?? request.headers['domicile-request-id'] ?? '';
    log(`request ${requestId || '-'}: ${error.message}`);
    const { status, headers, body } = problem(error, requestId);
    response.writeHead(status, headers);
    response.end(body);
  };
}

/** Fastify: fastify.register(fastifyPlugin). Its own error handler answers with a DomicileError's status. */
export function fastifyPlugin(fastify, options, done) {
  fastify.addHook('onRequest', (request, reply, next) => use(Context.fromHeaders(request.headers), () => next()));
  done();
}
fastifyPlugin[Symbol.for('skip-override')] = true; // its hooks are for the routes beside it

/** Koa: app.use(koa()). */
export function koa() {
  return (context, next) => use(Context.fromHeaders(context.req.headers), next);
}

export function problem(error, requestId = '') {
  const titles = { 403: 'Forbidden', 409: 'Conflict', 500: 'Internal Server Error', 503: 'Service Unavailable' };
  const body = { type: 'about:blank', title: titles[error.status] ?? 'Error', status: error.status, reason: error.code };
  if (requestId) body.request_id = requestId;
  const headers = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
  if (error.status === 503) headers['retry-after'] = '5';
  return { status: error.status, headers, body: JSON.stringify(body) };
}
