/** Drivers that break what is promised of looking: R12, `inspect`, `list`, `close` and what a refusal says. */
import type { Holder, LockDriver, LockRecord } from "../../../src/index.ts";
import { driverError } from "../../../src/index.ts";
import { acquiring, ask, type Broken, call, Fault, free, holders, prolong, showing } from "../faults.ts";

async function renew(honest: LockDriver, key: string): Promise<void> {
  for (const { owner, token } of await holders(honest, key)) await prolong(honest, { key, owner, token, ttlMs: 60_000, longestMs: 60_000 });
}

/** Lists something else than there is. */
const listing =
  (
    list: (records: LockRecord[], prefix: string | undefined, honest: LockDriver) => LockRecord[] | Promise<LockRecord[]>,
  ): Broken["breaks"] =>
  (honest) => ({
    ...honest,
    async *list({ prefix }) {
      const records: LockRecord[] = [];
      for await (const record of honest.list({})) records.push(record);
      yield* await list(records, prefix, honest);
    },
  });

const under = (records: readonly LockRecord[], prefix = "") => records.filter(({ key }) => key.startsWith(prefix));

/** Says something else when it refuses. */
const refusing = (say: (said: { retryAfterMs?: number; holder?: Holder }, owner: string) => { retryAfterMs?: number; holder?: Holder }) =>
  acquiring(async (claim, honest) => {
    const result = await ask(honest, claim);
    return result.acquired ? result : { ...result, ...say(result, claim.owner) };
  });

export const views: readonly Broken[] = [
  {
    name: "renews what it shows",
    rule: "R12",
    breaks: showing(async (shown, key, honest) => {
      await renew(honest, key);
      return shown;
    }),
  },
  {
    name: "renews what it lists",
    rule: "R12",
    breaks: listing(async (records, prefix, honest) => {
      for (const { key } of under(records, prefix)) await renew(honest, key);
      return under(records, prefix);
    }),
  },
  {
    name: "says that the server is away at every ping",
    rule: "R12",
    breaks: (honest) => ({ ...honest, ping: () => Promise.reject(new Fault("away")) }),
  },
  {
    name: "frees everything at a ping",
    rule: "R12",
    breaks: (honest) => ({
      ...honest,
      async ping() {
        for await (const claim of honest.list({})) await free(honest, claim);
      },
    }),
  },
  {
    name: "says that every lease was granted just now",
    rule: "inspect",
    breaks: showing((shown) => shown.map((holder) => ({ ...holder, heldMs: 0 }))),
  },
  {
    name: "shows no metadata",
    rule: "inspect",
    breaks: showing((shown) => shown.map(({ metadata: _, ...holder }) => holder)),
  },
  {
    name: "shows empty metadata where there is none",
    rule: "inspect",
    breaks: showing((shown) => shown.map((holder) => ({ metadata: "", ...holder }))),
  },
  {
    name: "shows the newest holder first",
    rule: "inspect",
    breaks: showing((shown) => [...shown].reverse()),
  },
  {
    name: "goes on showing the last holder",
    rule: "inspect",
    breaks: showing((shown, key, _honest, world) => {
      const last = world.recall("last", () => new Map<string, readonly Holder[]>());
      if (shown.length > 0) last.set(key, shown);
      return last.get(key)?.map((holder) => ({ ...holder, remainingMs: 0 })) ?? [];
    }),
  },
  {
    name: "lists one holder for each key",
    rule: "list",
    breaks: listing((records, prefix) => [...new Map(under(records, prefix).map((record) => [record.key, record])).values()]),
  },
  {
    name: "lists what has ended",
    rule: "list",
    breaks: (honest, world) => {
      const granted = world.recall("granted", () => new Map<string, LockRecord>());
      return {
        ...honest,
        async acquire(claims) {
          const results = await honest.acquire(claims, call);
          for (const { key, owner, mode } of claims) {
            granted.set(`${key} ${owner}`, { key, owner, mode, token: 1n, remainingMs: 60_000, heldMs: 0 });
          }
          return results;
        },
        async *list({ prefix }) {
          yield* under([...granted.values()], prefix);
        },
      };
    },
  },
  {
    name: "takes the prefix for a pattern",
    rule: "list",
    breaks: listing((records, prefix = "") => {
      const pattern = new RegExp(
        `^${prefix
          .replace(/[.+^${}()|[\]\\*?]/g, "\\$&")
          .replaceAll("%", ".*")
          .replaceAll("_", ".")}`,
        "s",
      );
      return records.filter(({ key }) => pattern.test(key));
    }),
  },
  {
    name: "ignores the case of the prefix",
    rule: "list",
    breaks: listing((records, prefix = "") => records.filter(({ key }) => key.toLowerCase().startsWith(prefix.toLowerCase()))),
  },
  {
    name: "lists nothing without a prefix",
    rule: "list",
    breaks: listing((records, prefix) => (prefix === undefined ? [] : under(records, prefix))),
  },
  {
    name: "lists no more than 500 leases",
    rule: "list",
    breaks: listing((records, prefix) => under(records, prefix).slice(0, 500)),
  },
  {
    name: "cannot list again when a list was left before its end",
    rule: "list",
    breaks: (honest) => {
      let open = false;
      return {
        ...honest,
        async *list(options) {
          if (open) throw new Fault("another list is open");
          open = true;
          yield* honest.list(options);
          open = false;
        },
      };
    },
  },
  {
    name: "frees what it holds when it is closed",
    rule: "close",
    breaks: (honest) => {
      const mine: { key: string; owner: string }[] = [];
      return {
        ...honest,
        acquire(claims) {
          mine.push(...claims.map(({ key, owner }) => ({ key, owner })));
          return honest.acquire(claims, call);
        },
        async close() {
          for (const claim of mine) await free(honest, claim);
        },
      };
    },
  },
  {
    name: "closes what other clients use",
    rule: "close",
    breaks: (honest, world) => {
      const server = world.recall("server", () => ({ closed: false }));
      const gone = driverError("the connection is closed", { applied: "no", retryable: false });
      return {
        ...honest,
        extend: async (claims) => (server.closed ? claims.map(() => gone) : honest.extend(claims, call)),
        async close() {
          server.closed = true;
        },
      };
    },
  },
  {
    name: "names the one who asks as the holder",
    rule: "refusal",
    breaks: refusing(({ holder }, owner) => (holder === undefined ? {} : { holder: { ...holder, owner } })),
  },
  {
    name: "says a moment instead of how long to wait",
    rule: "refusal",
    breaks: refusing(() => ({ retryAfterMs: 1_700_000_000_000 })),
  },
];
