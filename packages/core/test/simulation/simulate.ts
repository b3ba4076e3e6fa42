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
  renewals: number;
}

export interface Outcome {
  readonly faults: readonly string[];
  readonly log: readonly string[];
  readonly coverage: Coverage;
}

const keys = ["a", "b"];
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

type Step = { readonly at: number; readonly client: number } & ({ readonly operation: Operation } | { readonly pauseMs: number });

function plan(seed: number): Plan {
  const random = new Random(seed);
  const clocks = ["p", "q", "r"].map((name) => ({ name, rate: random.between(0.996, 1.004), offset: random.between(0, 1e6) }));
  const steps: Step[] = [];
  let client = 0;
  let startsAt = 0;
  let operation: Operation | undefined;
  for (let i = Math.floor(random.between(4, 20)); i > 0; i--) {
    // Many want the same at about the same time: only those can hand a lease on.
    if (operation === undefined || random.chance(0.5)) {
      client = Math.floor(random.next() * clocks.length);
      startsAt = random.between(0, stormMs);
      operation = choose(random, (clocks[client] as { name: string }).name);
    }
    const holder = operation.options.owner ?? `${client}-${i}`;
    steps.push({ at: startsAt + random.between(0, 20), client, operation: { ...operation, holder } });
  }
  for (let i = random.pick([0, 0, 1, 2, 3]); i > 0; i--)
    steps.push({ at: random.between(0, stormMs), client: Math.floor(random.next() * clocks.length), pauseMs: random.between(100, 4_000) });
  return {
    queue: random.chance(0.3),
    faultiness: random.pick([0, 0, 0.02, 0.1, 0.3]),
    handOff: random.pick([undefined, false, { max: 2, maxMs: 50 }]),
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
  const { queue, faultiness, handOff, clocks, steps, networkSeed } = plan(seed);
  const world = new World();
  const table = queue ? queueTable(world) : plainTable(world);
  const network = new Network(world, table, new Random(networkSeed), faultiness);
  const judge = new Judge(() => world.now);
  const clients = clocks.map(({ name, rate, offset }) => new Client(world, name, rate, offset));
  const providers = clients.map((clock) =>
    createLockProvider(network.driver(clock), {
      clock,
      sweepIntervalMs: 0,
      instanceId: clock.name,
      ...(handOff === undefined ? {} : { handOff }),
    }),
  );
  const counts = { timeouts: 0, backendErrors: 0, aborts: 0, losses: 0, pausesPastTtl: 0 };
  for (const provider of providers) provider.on("lost", () => counts.losses++);

  // Where nothing goes wrong, nobody may wait in vain for a key that is free.
  const calmly = faultiness === 0 && steps.every((step) => "operation" in step);
  const freeSince = calmly ? watchFreeKeys(world, table) : undefined;
  let open = 0;
  for (const [index, step] of steps.entries()) {
    if (without.has(index)) continue;
    const client = clients[step.client] as Client;
    const provider = providers[step.client] as LockProvider;
    if ("operation" in step) {
      open++;
      client.do(step.at, () => {
        void operate(provider, client, step.operation, judge, counts, freeSince).then(() => open--);
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

/** A free key is noticed by a notification or, at the latest, by the slowest look of the default strategy. */
const noticedMs = 2_500;

/** Since when each key has had no live lease, looked at now and then. */
function watchFreeKeys(world: World, table: Table): Map<string, number> {
  const since = new Map<string, number>();
  const look = () => {
    for (const key of keys) {
      if (table.holders(key).length > 0) since.delete(key);
      else if (!since.has(key)) since.set(key, world.now);
    }
    if (world.now < stormMs + 20_000) world.after(50, look);
  };
  look();
  return since;
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

function choose(random: Random, client: string): Operation {
  const mode = random.pick(["exclusive", "exclusive", "shared"] as const);
  const limit = mode === "shared" && random.chance(0.5) ? random.pick([1, 2]) : undefined;
  const owner = random.chance(0.1) ? `user-${client}` : undefined;
  // A user's own owner is never undone, so only its TTL can end a late delivery before the calm.
  const ttlMs = random.pick(owner === undefined ? [200, 1_000, 1_000, 3_000, 120_000] : [200, 1_000, 3_000]);
  return {
    key: random.pick(keys),
    kind: random.chance(0.2) ? "tryLock" : "lock",
    options: {
      ttlMs,
      mode,
      autoRenew: random.chance(0.7),
      waitMs: random.pick([0, 50, 500, 3_000, 10_000]),
      ...(limit === undefined ? {} : { limit }),
      ...(owner === undefined ? {} : { owner }),
      ...(random.chance(0.2) ? { attemptTimeoutMs: random.between(20, 400) } : {}),
      ...(random.chance(0.1) ? { maxHoldMs: random.between(50, 2_000) } : {}),
    },
    holdMs: random.pick([0, 5, 100, 1_500, 4_000]),
    refreshAfterMs: random.chance(0.15) ? random.between(1, 500) : undefined,
    abortAfterMs: random.chance(0.15) ? random.between(0, 1_500) : undefined,
    holder: "",
  };
}

interface Counts {
  timeouts: number;
  backendErrors: number;
  aborts: number;
}

async function operate(
  provider: LockProvider,
  client: Client,
  operation: Operation,
  judge: Judge,
  counts: Counts,
  freeSince: Map<string, number> | undefined,
): Promise<void> {
  const { key, kind, options, holder } = operation;
  const controller = new AbortController();
  const reason = new Error("the caller's own reason");
  if (operation.abortAfterMs !== undefined) client.setTimer(() => controller.abort(reason), operation.abortAfterMs);
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
    const freeForMs = judge.now() - (freeSince?.get(key) ?? Number.POSITIVE_INFINITY);
    if (error instanceof LockError && error.code === "DLOCK_TIMEOUT" && freeForMs > noticedMs && (options.waitMs ?? 0) > noticedMs + 500)
      judge.blame(`${client.name} waited in vain for ${key}, free for ${freeForMs.toFixed(0)} ms`);
    judge.note(`${client.name} did not get ${key}: ${error instanceof Error ? error.message : error}`);
    return;
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
  const held = { lock, client: client.name, mode: options.mode ?? "exclusive", limit: options.limit, holder };
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
