import type { Context } from './index.js';

export interface Ticket {
  organization: string;
  epoch: number;
  requestId?: string;
}
export interface Credentials {
  clientId: string;
  clientSecret: string;
}
export interface SourceOptions {
  credentials: (organization: string) => Credentials | Promise<Credentials>;
  /** Authorities for the node's certificate, PEM; absent: the system's. */
  ca?: string | Buffer;
  timeoutMs?: number;
  now?: () => number;
}

export function ticketOf(context: Context): Ticket;
export class ContextSource {
  constructor(nodeUrl: string, options: SourceOptions);
  workFor<T>(ticket: Ticket, work: () => Promise<T>): Promise<T>;
  context(ticket: Ticket): Promise<Context>;
}
