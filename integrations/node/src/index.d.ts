export * from './errors.js';

export interface ContextFields {
  organization: string;
  epoch: number;
  token: string;
  subject?: string;
  permissions?: Iterable<string>;
  actingOrganization?: string;
  requestId?: string;
  refresh?: (() => Promise<string>) | null;
}

/** The organization in whose name the present request or job works. Immutable; its token is never printed. */
export class Context {
  constructor(fields: ContextFields);
  readonly organization: string;
  readonly epoch: number;
  readonly subject: string;
  readonly permissions: ReadonlySet<string>;
  readonly actingOrganization: string;
  readonly requestId: string;
  readonly token: string;
  readonly refreshes: boolean;
  freshToken(): Promise<string>;
  static fromHeaders(headers: Record<string, string | string[] | undefined>): Context | null;
}

export function use<T>(context: Context | null, work: () => T): T;
export function unscoped<T>(work: () => T): T;
export function current(): Context | null;
export function required(): Context;
export function isUnscoped(): boolean;
