// Prisma over a guarded pool:
//
//   const { Pool } = guard(pg);
//   const prisma = perOrganization(new PrismaPg(new Pool({ ... })), (adapter) => new PrismaClient({ adapter }));
//
// One client for each organization, because one client for all of them leaks: Prisma collects what is asked within one
// tick, by whichever requests, and sends it in the context of the first. With one client, findUnique() and
// $transaction([...]) of two organizations in one tick read in the name of one of them (tests/integrations/orm.test.mjs
// shows it). All clients share the adapter and its pool; the least recently used ones are let go. Extensions and $on()
// belong into the function that makes a client. Prisma's promises are lazy: await them in the request.
import { current, isUnscoped } from './index.js';
import { ContextMissing } from './errors.js';

export function perOrganization(factory, make, { clients = 200 } = {}) {
  let connected = null;
  const shared = {
    provider: factory.provider,
    adapterName: factory.adapterName,
    connect: async () => {
      connected ??= factory.connect();
      return Object.create(await connected, { dispose: { value: async () => {} } }); // it is not one client's to end
    },
  };
  const known = new Map(); // by organization; the least recently used is the first

  function client() {
    const context = current();
    if (!context && !isUnscoped()) throw new ContextMissing('no organization context here');
    const key = context ? `of ${context.organization}` : '';
    const found = known.get(key) ?? make(shared);
    known.delete(key);
    known.set(key, found);
    if (known.size > clients) known.delete(known.keys().next().value); // what it is doing goes on
    return found;
  }

  async function disconnect() {
    const all = [...known.values()];
    known.clear();
    await Promise.all(all.map((one) => one.$disconnect()));
    const adapter = await connected;
    connected = null;
    await adapter?.dispose();
  }

  return new Proxy({}, {
    get(_, name) {
      if (typeof name === 'symbol' || name === 'then' || name === 'toJSON') return undefined;
      if (name === '$disconnect') return disconnect;
      if (name === '$extends' || name === '$on') throw new TypeError(`${name}() belongs into the function that makes a client`);
      const one = client();
      const value = one[name];
      return typeof value === 'function' ? value.bind(one) : value;
    },
  });
}
