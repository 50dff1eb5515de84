// What can go wrong, as errors with a remedy. `code` is stable and the same in every integration and in
// `domicile explain --sql-error`; `status` is what an HTTP answer should say. TABLE maps what the guard
// raises: SQLSTATE, constraint name, part of the message, class. The first that fits counts.

export class DomicileError extends Error {
  constructor(message = '', { sqlstate, cause } = {}) {
    super(message, cause ? { cause } : undefined);
    this.name = this.constructor.name;
    this.code = this.constructor.code;
    this.status = this.constructor.status;
    this.remedy = this.constructor.remedy;
    this.sqlstate = sqlstate;
    if (this.remedy) this.message = `${message} (${this.code}: ${this.remedy})`;
  }
}
const define = (code, status, remedy) => {
  const kind = class extends DomicileError {};
  Object.assign(kind, { code, status, remedy });
  const name = code.replace(/(?:^|_)(\w)/g, (_, letter) => letter.toUpperCase());
  Object.defineProperty(kind, 'name', { value: name });
  return kind;
};

export const ContextMissing = define('context_missing', 500,
  'Run this inside a request that came through the door (middleware), inside a job (jobs), or, for reference '
  + 'data alone, inside unscoped().');
export const ContextExpired = define('context_expired', 503,
  'A context lives a minute: open transactions late, keep them short, and take long work into a job, where a '
  + 'fresh context is fetched for each transaction.');
export const ContextInvalid = define('context_invalid', 403,
  'Hand the Domicile-Context header on unchanged, to the database of the region whose door sent it. If it is '
  + 'unchanged, the node signs with a key that this database does not know: domicile doctor.');
export const NotServedHere = define('not_served_here', 503,
  "The organization moved, is suspended, or this is another region's database. Ask again at the organization's "
  + 'home; a job must be queued again there.');
export const WrongOrganization = define('wrong_organization', 403,
  "One transaction is about one organization, and its rows carry that organization's key: end the transaction "
  + "before the next organization's work, and do not take the key from the request's body.");
export const NotWritableHere = define('not_writable_here', 503,
  'The organization is homed elsewhere, suspended or being moved: domicile org show says where.');
export const RegionClosed = define('region_closed', 503,
  'The server was promoted or restored: domicile region reconcile opens the region.');
export const ReferenceReadOnly = define('reference_read_only', 409,
  'Change reference data in the master region; it arrives here by the reference sync.');
export const RefusedByGuard = define('refused_by_guard', 500,
  'The guard refuses this statement for everybody: the message says which and why; see docs/guard.md.');
export const AutocommitRefused = define('autocommit_refused', 500,
  'A context is valid within one transaction, so this needs one: BEGIN first, or use transaction().');
export const ContextRefused = define('context_refused', 403,
  'The service needs the permission context:issue for this very organization (domicile client create --org KEY '
  + "--permission context:issue); a job that is older than the organization's last move is refused.");
export const NodeUnavailable = define('node_unavailable', 503,
  "The region's node did not answer: try the job again later.");

export const TABLE = [
  ['42501', '', 'has no organization context', ContextMissing],
  ['42501', '', 'context belongs to another transaction', ContextMissing],
  ['42501', '', 'organization context has expired', ContextExpired],
  ['42501', '', 'context token has expired, or lives too long', ContextExpired],
  ['42501', '', 'context was tampered with', ContextInvalid],
  ['42501', '', 'context token is not one of this region', ContextInvalid],
  ['42501', '', 'context token is forged, or its key is retired', ContextInvalid],
  ['42501', '', 'context token is for another database', NotServedHere],
  ['42501', '', 'organization is not served in this region', NotServedHere],
  ['42501', '', 'already entered another organization', WrongOrganization],
  ['42501', '', 'new row violates row-level security policy', WrongOrganization],
  ['23514', 'domicile_home', 'region is closed', RegionClosed],
  ['23514', 'domicile_home', '', NotWritableHere],
  ['23514', 'domicile_reference', '', ReferenceReadOnly],
  ['25006', '', 'enter() cannot run in a read-only transaction', RefusedByGuard],
  ['42501', '', 'domicile: ', RefusedByGuard],
  ['55000', '', 'region is closed', RegionClosed],
];

/** The typed error for a database error (`code`, `message`, `constraint` as pg gives them), else the error itself. */
export function translate(error) {
  if (!error || error instanceof DomicileError || typeof error.code !== 'string') return error;
  const message = String(error.message ?? '');
  for (const [sqlstate, constraint, part, Kind] of TABLE) {
    if (error.code === sqlstate && message.includes(part) && (!constraint || error.constraint === constraint)) {
      return new Kind(message.split('\n')[0], { sqlstate, cause: error });
    }
  }
  return error;
}
