interface AdapterFactory {
  readonly provider: string;
  readonly adapterName: string;
  connect(): Promise<any>;
}

/** One Prisma client for each organization, over one adapter: a client joins what several requests ask within a tick. */
export function perOrganization<Client>(factory: AdapterFactory, make: (adapter: any) => Client, options?: {
  /** How many clients are kept; 200 by default, some 0.4 MB each. */
  clients?: number;
}): Client;
