import type * as PG from 'pg';

export interface GuardedPool extends PG.Pool {
  /** BEGIN, enter, `work(client)`, COMMIT; ROLLBACK when it throws. */
  transaction<T>(work: (client: PG.PoolClient) => Promise<T>): Promise<T>;
}

/** `pg` with a Pool and a Client whose every transaction enters the current organization first. */
export function guard(pg: typeof PG): Omit<typeof PG, 'Pool' | 'Client'> & {
  Client: typeof PG.Client;
  Pool: new (options?: PG.PoolConfig) => GuardedPool;
};
