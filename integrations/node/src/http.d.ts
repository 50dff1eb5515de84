import type { IncomingMessage, ServerResponse } from 'node:http';

import type { DomicileError } from './errors.js';

export function middleware(): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;
export function errorHandler(options?: { log?: (line: string) => void }):
  (error: unknown, request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;
export function fastifyPlugin(fastify: any, options: object, done: (error?: Error) => void): void;
export function koa(): (context: { req: IncomingMessage }, next: () => Promise<void>) => Promise<void>;
export function problem(error: DomicileError, requestId?: string):
  { status: number; headers: Record<string, string>; body: string };
