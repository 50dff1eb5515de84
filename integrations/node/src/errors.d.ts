export class DomicileError extends Error {
  constructor(message?: string, options?: { sqlstate?: string; cause?: unknown });
  readonly code: string;
  readonly status: number;
  readonly remedy: string;
  readonly sqlstate?: string;
}
export class ContextMissing extends DomicileError {}
export class ContextExpired extends DomicileError {}
export class ContextInvalid extends DomicileError {}
export class NotServedHere extends DomicileError {}
export class WrongOrganization extends DomicileError {}
export class NotWritableHere extends DomicileError {}
export class RegionClosed extends DomicileError {}
export class ReferenceReadOnly extends DomicileError {}
export class RefusedByGuard extends DomicileError {}
export class AutocommitRefused extends DomicileError {}
export class ContextRefused extends DomicileError {
  readonly reason: string;
  readonly httpStatus: number;
}
export class NodeUnavailable extends DomicileError {}
export const TABLE: ReadonlyArray<readonly [sqlstate: string, constraint: string, part: string, kind: typeof DomicileError]>;
export function translate<E>(error: E): E | DomicileError;
