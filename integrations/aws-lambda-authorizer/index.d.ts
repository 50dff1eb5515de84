export interface Options {
  url: string;
  proxyToken?: string;
  ca?: string;
  timeoutMs?: number;
  forwardHeaders?: string[];
  simpleResponses?: boolean;
  log?: (line: string) => void;
}
export interface Policy {
  principalId: string;
  policyDocument: { Version: string; Statement: { Action: string; Effect: 'Allow' | 'Deny'; Resource: string }[] };
  context: Record<string, string>;
}
export interface Simple {
  isAuthorized: boolean;
  context: Record<string, string>;
}
export function createHandler(options: Options): (event: unknown) => Promise<Policy | Simple>;
export function handler(event: unknown): Promise<Policy | Simple>;
export function requestOf(event: unknown): { method: string; path: string; authorization?: string; arn: string } | null;
export function fromEnvironment(env: Record<string, string | undefined>): Options;
