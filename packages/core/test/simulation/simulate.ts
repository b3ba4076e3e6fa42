/** One random schedule: three providers over one server and a bad network, on virtual time. Everything follows from the seed. */
import { createLockProvider, type Lock, LockError, type LockOptions, type LockProvider } from "../../src/index.ts";
import { Judge } from "./judge.ts";
import { latestDeliveryMs, Network, type NetworkCounts, type Table } from "./network.ts";
import { Random } from "./random.ts";
import { plainTable, queueTable } from "./tables.ts";
import { Client, World } from "./world.ts";

export interface Coverage extends NetworkCounts {
  schedules: number;
  grants: number;
  handOffs: number;
  contended: number;
  timeouts: number;
  backendErrors: number;
  aborts: number;
  losses: number;
  takeovers: number;
  pausesPastTtl: number;
  forgottenLeases: number;
  renewals: number;
}

export interface Outcome {
  readonly faults: readonly string[];
  readonly log: readonly string[];
  readonly coverage: Coverage;
}

const keys = ["a", "b"];
/** How the owners begin that users give. */
const givenByUser = "user-";
/** The stormy part: operations start and faults happen within it. */
const stormMs = 8_000;

/** What a seed stands for, before anything has happened: it can be played whole or, to find what matters, in part. */
interface Plan {
  readonly queue: boolean;
  readonly faultiness: number;
  readonly handOff: false | { max: number; maxMs: number } | undefined;
  readonly clocks: readonly { name: string; rate: number; offset: number }[];
  readonly steps: readonly Step[];
  readonly networkSeed: number;
}

type Step = { readonly at: number; readonly client: number } & (
  | { readonly operation: Operation }
  | { readonly pauseMs: number }
  /** The server loses the leases of a key. */
  | { readonly forget: string }
);

function plan(seed: number): Plan {
  const random = new Random(seed);
  const clocks = ["p", "q", "r"].map((name) => ({ name, rate: random.between(0.996, 1.004), offset: random.between(0, 1e6) }));
  const steps: Step[] = [];
  /** Nothing goes wrong in some worlds: there nobody has an excuse to be late. */
  const calmly = random.chance(0.3);
  const ownersChance = random.pick([0, 0.1, 0.6]);
  let client = 0;
  let startsAt = 0;
  let operation: Operation | undefined;
  for (let i = Math.floor(random.between(4, 20)); i > 0; i--) {
    // Many want the same at about the same time: only those can hand a lease on.
    if (operation === undefined || random.chance(0.5)) {
      client = Math.floor(random.next() * clocks.length);
      startsAt = random.between(0, stormMs);
      const owner = random.chance(ownersChance) ? `${givenByUser}${(clocks[client] as { name: string }).name}` : undefined;
      operation = choose(random, owner);
    } else if (random.chance(0.3)) {
      const { mode, limit, ...options } = operation.options;
      operation = { ...operation, options: { ...options, ...chooseMode(random) } };
    }
    const holder = operation.options.owner ?? `${client}-${i}`;
    steps.push({ at: startsAt + random.between(0, 20), client, operation: { ...operation, holder } });
  }
  for (let i = calmly ? 0 : random.pick([0, 1, 2, 3]); i > 0; i--)
    steps.push({ at: random.between(0, stormMs), client: Math.floor(random.next() * clocks.length), pauseMs: random.between(100, 4_000) });
  if (!calmly && random.chance(0.1)) steps.push({ at: random.between(0, stormMs), client: 0, forget: random.pick(keys) });
  return {
    queue: random.chance(0.3),
    faultiness: calmly ? 0 : random.pick([0, 0.05, 0.2, 0.4]),
    handOff: random.pick([undefined, false, { max: 2, maxMs: 50 }, { max: 3, maxMs: 5_000 }]),
    clocks,
    steps,
    networkSeed: random.next() * 2 ** 32,
  };
}

/** The smallest part of a failing schedule that still fails: steps are left out one after another, as long as it does. */
export async function shrink(seed: number): Promise<{ outcome: Outcome; left: number; of: number }> {
  const { steps } = plan(seed);
  const without = new Set<number>();
  let outcome = await simulate(seed);
  for (let index = 0; index < steps.length; index++) {
    without.add(index);
    const smaller = await simulate(seed, without);
    if (smaller.faults.length > 0) outcome = smaller;
    else without.delete(index);
  }
  return { outcome, left: steps.length - without.size, of: steps.length };
}

/** @param without steps of the plan that are left out. */
export async function simulate(seed: number, without: ReadonlySet<number> = new Set()): Promise<Outcome> {
  const trulyRandom = Math.random;
  const jitter = new Random(seed);
  // The default retry strategies draw from it.
  Math.random = () => jitter.next();
  try {
    return await play(seed, without);
  } finally {
    Math.random = trulyRandom;
  }
}

async function play(seed: number, without: ReadonlySet<number>): Promise<Outcome> {
  const { queue, faultiness, handOff, clocks, steps, networkSeed } = plan(seed);
  const world = new World();
  const table = queue ? queueTable(world) : plainTable(world);
  const judge = new Judge(() => world.now);
  const look = (key: string) => judge.look(key, table.holders(key));
  const network = new Network(world, table, new Random(networkSeed), faultiness, look, ({ key, owner, token }) => {
    if (token === undefined && owner.startsWith(givenByUser)) judge.blame(`the owner of a user is undone: ${owner}, of ${key}`);
  });
  const clients = clocks.map(({ name, rate, offset }) => new Client(world, name, rate, offset));
  const providers = clients.map((clock) =>
    createLockProvider(network.driver(clock), {
      clock,
      sweepIntervalMs: 0,
      instanceId: clock.name,
      ...(handOff === undefined ? {} : { handOff }),
    }),
  );
  const counts = { timeouts: 0, backendErrors: 0, aborts: 0, losses: 0, pausesPastTtl: 0, forgottenLeases: 0 };
  for (const provider of providers) provider.on("lost", () => counts.losses++);

  // Where nothing goes wrong, nobody may wait in vain for a key that is free.
  const calmly = faultiness === 0 && steps.every((step) => "operation" in step);
  if (calmly) watchFreeKeys(world, table, judge);
  let open = 0;
  for (const [index, step] of steps.entries()) {
    if (without.has(index)) continue;
    const client = clients[step.client] as Client;
    const provider = providers[step.client] as LockProvider;
    if ("operation" in step) {
      open++;
      client.do(step.at, () => {
        void operate(provider, client, step.operation, judge, counts).then(() => open--);
      });
    } else if ("forget" in step) {
      world.after(step.at, () => {
        const leases = table.holders(step.forget);
        counts.forgottenLeases += leases.length;
        judge.forget(step.forget, leases);
        for (const { owner, token, remainingMs } of leases) {
          table.release({ key: step.forget, owner, token });
          world.after(remainingMs + 0.001, () => look(step.forget));
        }
      });
    } else {
      if (step.pauseMs > 1_000) counts.pausesPastTtl++;
      world.after(step.at, () => {
        judge.note(`${client.name} is paused for ${step.pauseMs.toFixed(0)}`);
        client.pausedUntil = world.now + step.pauseMs;
      });
    }
  }

  // The storm, the last waits and holds, and whatever is delivered late.
  await world.run(stormMs + 20_000);
  network.faultiness = 0;
  await world.run(stormMs + 20_000 + latestDeliveryMs + 10_000);
  if (open > 0) judge.blame(`${open} operations have not come to an end`);
  await calm(world, providers, clients, table, judge);

  const stats = providers.map((provider) => provider.stats());
  const sum = (name: "handOffs" | "contended" | "refreshCount" | "expired") => stats.reduce((total, each) => total + each[name], 0);
  return {
    faults: judge.faults,
    log: judge.log,
    coverage: {
      ...network.counts,
      ...counts,
      schedules: 1,
      grants: judge.grants,
      handOffs: sum("handOffs"),
      contended: sum("contended"),
      renewals: sum("refreshCount"),
      takeovers: sum("expired"),
    },
  };
}

/** With the faults over, every key can be had by everyone, and nothing is left behind. */
async function calm(
  world: World,
  providers: readonly LockProvider[],
  clients: readonly Client[],
  table: Table,
  judge: Judge,
): Promise<void> {
  for (const key of keys) for (const { owner } of table.holders(key)) judge.blame(`a ghost is left: ${key} by ${owner}`);
  let served = 0;
  for (const [index, provider] of providers.entries()) {
    for (const key of keys) {
      (clients[index] as Client).do(0, () => {
        provider
          .withLock(key, { ttlMs: 1_000, waitMs: 5_000 }, () => served++)
          .catch((error: unknown) => judge.blame(`in the calm: ${error}`));
      });
    }
  }
  await world.run(world.now + 6_000);
  if (served !== providers.length * keys.length) judge.blame(`in the calm only ${served} of ${providers.length * keys.length} were served`);
  for (const provider of providers) {
    const { active, waiting, total, failed, unlockCount, lost } = provider.stats();
    if (active !== 0 || waiting !== 0) judge.blame(`left behind: ${active} active, ${waiting} waiting`);
    if (total - failed !== unlockCount + lost)
      judge.blame(`${total} acquisitions, ${failed} failed, yet ${unlockCount} unlocked and ${lost} lost`);
  }
  const closed = providers.map((provider) => provider.close());
  await world.run(world.now + 2_000);
  await Promise.all(closed);
  for (const key of keys) if (table.holders(key).length > 0) judge.blame(`a lease on ${key} is left after close`);
}

/** Looks now and then since when each key has had no live lease. */
function watchFreeKeys(world: World, table: Table, judge: Judge): void {
  const since = new Map<string, number>();
  const look = () => {
    for (const key of keys) {
      if (table.holders(key).length > 0) since.delete(key);
      else if (!since.has(key)) since.set(key, world.now);
      else judge.free(key, since.get(key) as number);
    }
    if (world.now < stormMs + 20_000) world.after(25, look);
  };
  look();
}

interface Operation {
  readonly key: string;
  readonly kind: "lock" | "tryLock";
  readonly options: LockOptions;
  readonly holdMs: number;
  readonly refreshAfterMs: number | undefined;
  readonly abortAfterMs: number | undefined;
  /** Holds with the same one do not exclude each other. */
  readonly holder: string;
}

function choose(random: Random, owner: string | undefined): Operation {
  // A user's own owner is never undone, so only its TTL can end a late delivery before the calm.
  const ttlMs = random.pick(owner === undefined ? [200, 1_000, 1_000, 3_000, 120_000] : [200, 1_000, 3_000]);
  return {
    key: random.pick(keys),
    kind: random.chance(0.2) ? "tryLock" : "lock",
    options: {
      ttlMs,
      ...chooseMode(random),
      autoRenew: random.chance(0.7),
      waitMs: random.pick([0, 50, 500, 3_000, 10_000]),
      ...(owner === undefined ? {} : { owner }),
      ...(random.chance(0.3) ? { attemptTimeoutMs: random.between(20, 600) } : {}),
      ...(random.chance(0.25) ? { maxHoldMs: random.between(50, 2_000) } : {}),
    },
    holdMs: random.pick([0, 5, 100, 1_500, 4_000]),
    refreshAfterMs: random.chance(0.15) ? random.between(1, 500) : undefined,
    abortAfterMs: random.chance(0.15) ? random.between(0, 1_500) : undefined,
    holder: "",
  };
}

function chooseMode(random: Random): Pick<LockOptions, "mode" | "limit"> {
  const mode = random.pick(["exclusive", "exclusive", "shared"] as const);
  return mode === "shared" && random.chance(0.5) ? { mode, limit: random.pick([1, 2]) } : { mode };
}

interface Counts {
  timeouts: number;
  backendErrors: number;
  aborts: number;
}

async function operate(provider: LockProvider, client: Client, operation: Operation, judge: Judge, counts: Counts): Promise<void> {
  const { key, kind, options, holder } = operation;
  const controller = new AbortController();
  const reason = new Error("the caller's own reason");
  if (operation.abortAfterMs !== undefined) client.setTimer(() => controller.abort(reason), operation.abortAfterMs);
  const { mode = "exclusive", waitMs = 0, owner } = options;
  const waiter = { key, client: client.name, mode, since: judge.now() };
  // Who brings an owner stands in no line.
  if (kind === "lock" && waitMs > 0 && owner === undefined) judge.waits(waiter);
  let lock: Lock | undefined;
  try {
    const signal = operation.abortAfterMs === undefined ? {} : { signal: controller.signal };
    if (kind === "lock") lock = await provider.lock(key, { ...options, ...signal });
    else {
      const { waitMs: _, ...rest } = options;
      lock = await provider.tryLock(key, { ...rest, ...signal });
    }
  } catch (error) {
    if (error === reason) counts.aborts++;
    else if (!(error instanceof LockError)) judge.blame(`an error of no kind: ${error}`);
    else if (error.code === "DLOCK_BACKEND") counts.backendErrors++;
    else counts.timeouts++;
    judge.note(`${client.name} did not get ${key}: ${error instanceof Error ? error.message : error}`);
    return;
  } finally {
    judge.waited(waiter, lock !== undefined);
  }
  if (lock === undefined) {
    judge.note(`${client.name} was refused ${key}`);
    return;
  }
  await hold(lock, client, operation, judge, holder);
}

async function hold(
  lock: Lock,
  client: Client,
  { key, options, holdMs, refreshAfterMs }: Operation,
  judge: Judge,
  holder: string,
): Promise<void> {
  const { mode = "exclusive", limit, ttlMs = 0, maxHoldMs } = options;
  const held = { lock, client: client.name, mode, limit, holder, ttlMs, bounded: maxHoldMs !== undefined };
  judge.granted(key, held);
  const until = client.now() + holdMs;
  if (refreshAfterMs !== undefined && refreshAfterMs < holdMs) {
    await client.sleep(refreshAfterMs);
    await lock.refresh(options.ttlMs).catch((error: unknown) => {
      if (!(error instanceof LockError)) judge.blame(`refresh: ${error}`);
    });
  }
  // The work goes on until it is done or until it is told that the lock is lost.
  while (client.now() < until && lock.isHeld) await client.sleep(Math.min(until - client.now(), 100));
  const stillHeld = lock.isHeld;
  judge.ended(key, held, stillHeld ? "releases" : "has lost");
  try {
    await lock.unlock();
  } catch (error) {
    if (!(error instanceof LockError)) judge.blame(`unlock: ${error}`);
  }
  if (lock.isHeld) judge.blame(`${client.name} holds ${key} after unlock`);
}
