/** Anything at all as a driver's answer: a lock that can be relied upon, or an error of dlock's own, in time; nothing held, waiting or unhandled. */
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Holder, type Lock, LockError } from "../../src/index.ts";
import { type Scenario, scenario } from "../support/scenario.ts";
import { answeringEach, honest, type Operation, type Reply } from "../support/scripted-driver.ts";
import { anything, Made, type Outcome, objectOf, outcomeOf, type Some, someOf } from "./hostile.ts";

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
beforeAll(() => void process.on("unhandledRejection", note));
afterAll(() => void process.off("unhandledRejection", note));
beforeEach(() => void unhandled.splice(0));

const holder = { owner: "other", token: 3n, mode: "exclusive", remainingMs: 500, heldMs: 10 };
const rightAnswers = [
  { acquired: true, token: 7n, ttlMs: 30_000 },
  { acquired: false, retryAfterMs: 5, holder },
  Object.assign(new Error("from a driver"), { dlockDriverError: true, applied: "unknown", retryable: true }),
];

/** A right answer with some fields that are wrong; the holder's too. */
const almostRight: fc.Arbitrary<Made> = fc
  .tuple(
    fc.constantFrom(...rightAnswers.keys()),
    someOf(["acquired", "token", "ttlMs", "retryAfterMs", "holder", "applied", "retryable", "message", "cause", "name"]),
    fc.option(someOf(["owner", "token", "mode", "remainingMs", "heldMs", "metadata", "toJSON", "__proto__"]), { nil: undefined }),
  )
  .map(
    ([index, fields, holders]) =>
      new Made(named(`right answer ${index} with`, [...fields, ...(holders ?? [])], () => answerOf(index, fields, holders))),
  );

function answerOf(index: number, fields: Some, holders: Some | undefined): unknown {
  const right = rightAnswers[index];
  const base = right instanceof Error ? Object.assign(new Error(right.message), right) : { ...right };
  const wrong = objectOf(fields);
  if (holders !== undefined) wrong.holder = { ...holder, ...objectOf(holders) };
  for (const [name, value] of Object.entries(wrong)) Object.defineProperty(base, name, { value, enumerable: true, configurable: true });
  return base;
}

function named(what: string, some: Some, make: () => unknown): () => unknown {
  return Object.defineProperty(make, "name", { value: `${what} ${fc.stringify(some)}` });
}

/** One wrong answer for each claim, or something wrong in place of the whole list; or a throw of anything. */
const wrongReply: fc.Arbitrary<Reply> = fc.oneof(
  { weight: 4, arbitrary: almostRight.map(({ make }) => answeringEach(make())) },
  {
    weight: 2,
    arbitrary: anything.map(
      ({ make }): Reply =>
        (serve) =>
          (serve() as unknown[]).map(() => make()),
    ),
  },
  {
    weight: 2,
    arbitrary: anything.map(
      ({ make }): Reply =>
        () =>
          make(),
    ),
  },
  {
    weight: 1,
    arbitrary: anything.map(
      ({ make }): Reply =>
        () =>
          Promise.reject(make()),
    ),
  },
  {
    weight: 1,
    arbitrary: anything.map(
      ({ make }): Reply =>
        () => {
          throw make();
        },
    ),
  },
);

function expectHolder({ owner, token, mode, remainingMs, heldMs, metadata }: Holder): void {
  expect([typeof owner, typeof token, typeof remainingMs, typeof heldMs]).toEqual(["string", "bigint", "number", "number"]);
  expect(token >= 0n && token < 2n ** 63n).toBe(true);
  expect(["exclusive", "shared"]).toContain(mode);
  expect(["string", "undefined"]).toContain(typeof metadata);
  expect(Number.isNaN(remainingMs) || Number.isNaN(heldMs)).toBe(false);
}

/** Every error is dlock's own, and can be printed. */
function expectOwn(outcome: Outcome): void {
  if (outcome.ok) return;
  if (!(outcome.error instanceof LockError)) throw new Error("not an error of dlock's own", { cause: outcome.error });
  const { message, code, ...rest } = outcome.error as LockError & { holder?: Holder };
  expect([typeof message, code.startsWith("DLOCK_")]).toEqual(["string", true]);
  if (rest.holder !== undefined) expectHolder(rest.holder);
}

async function expectAtRest({ clock, driver, locks }: Scenario): Promise<void> {
  for (const operation of ["acquire", "extend", "release", "inspect", "sweep", "ping"] as const) driver.always(operation, honest);
  await clock.advance(1_300_000);
  const { active, waiting } = locks.stats();
  expect({ active, waiting, table: driver.table.keys(), watched: driver.table.watched, timers: clock.pending, unhandled }).toEqual({
    active: 0,
    waiting: 0,
    table: [],
    watched: 0,
    timers: 0,
    unhandled: [],
  });
}

/** Listeners and a log that look at all they are told. */
function watched(): Scenario {
  const logged: string[] = [];
  const log = (fields: object, message: string) => void logged.push(`${message} ${Object.keys(fields)}`);
  const here = scenario({ logger: { debug: log, info: log, warn: log, error: log }, attemptTimeoutMs: 1_000 }, { watch: true });
  for (const name of ["acquired", "contended", "at-risk", "lost", "timeout", "error"] as const)
    here.locks.on(name, (event) => void Object.keys(event));
  return here;
}

const runs = { numRuns: 500 };

describe("any answer", () => {
  const asks: Record<string, (here: Scenario) => Promise<unknown>> = {
    "to a lock that does not wait": ({ locks }) => locks.lock("a", { waitMs: 0 }),
    "to a lock that waits": ({ locks }) => locks.lock("a", { waitMs: 500 }),
    "to tryLock": ({ locks }) => locks.tryLock("a"),
    "to a semaphore's lock": ({ locks }) => locks.lock("a", { mode: "shared", limit: 2, waitMs: 100 }),
    "to lockAll": ({ locks }) => locks.lockAll(["a", "b"], { waitMs: 300 }),
    "to withLock": ({ locks }) => locks.withLock("a", { waitMs: 100 }, () => "done"),
  };
  test.each(Object.entries(asks))("%s is a lock, or an error of dlock's own", async (_what, ask) => {
    await fc.assert(
      fc.asyncProperty(wrongReply, fc.boolean(), async (reply, always) => {
        const here = watched();
        // What the server did, and what came back of it, are two things.
        const both: Reply = (serve, clock) => {
          const served = serve();
          return reply(() => served, clock);
        };
        if (always) here.driver.always("acquire", both);
        else here.driver.next("acquire", both);
        const outcome = await here.clock.until(outcomeOf(() => ask(here)));
        expectOwn(outcome);
        const lock = outcome.ok ? (outcome.value as Partial<Lock> | string | undefined) : undefined;
        if (typeof lock === "object" && lock.unlock !== undefined) {
          if (lock.token !== undefined) expect(lock.token >= 0n && lock.token < 2n ** 63n).toBe(true);
          expect(Number.isFinite(lock.remainingMs ?? 0)).toBe(true);
          expectOwn(await here.clock.until(outcomeOf(() => lock.unlock?.())));
        }
        await expectAtRest(here);
      }),
      runs,
    );
  });

  test.each(["extend", "release"] as const)("to %s ends in time, and is no renewal and no release unless it is true", async (operation) => {
    await fc.assert(
      fc.asyncProperty(wrongReply, fc.boolean(), async (reply, always) => {
        const here = watched();
        const lock = await here.clock.until(here.locks.lock("a", { ttlMs: 3_000 }));
        if (always) here.driver.always(operation, reply);
        else here.driver.next(operation, reply);
        expectOwn(await here.clock.until(outcomeOf(() => (operation === "extend" ? lock.refresh() : lock.unlock()))));
        await here.clock.advance(1_500);
        expectOwn(await here.clock.until(outcomeOf(() => lock.unlock())));
        await expectAtRest(here);
      }),
      runs,
    );
  });

  const looks: Record<string, { operation: Operation; call: (here: Scenario) => Promise<unknown> }> = {
    inspect: { operation: "inspect", call: ({ locks }) => locks.inspect("a") },
    isLocked: { operation: "inspect", call: ({ locks }) => locks.isLocked("a") },
    renew: { operation: "inspect", call: ({ locks }) => locks.renew("a", "other", 1_000) },
    unlock: { operation: "inspect", call: ({ locks }) => locks.unlock("a", "other") },
    sweep: { operation: "sweep", call: ({ locks }) => locks.sweep() },
    ping: { operation: "ping", call: ({ locks }) => locks.ping() },
  };
  test.each(Object.entries(looks))("to %s is what it should be, or an error of dlock's own", async (name, { operation, call }) => {
    const holders = someOf(["owner", "token", "mode", "remainingMs", "heldMs", "metadata"]).map(
      (fields): Reply =>
        () => [{ ...holder, ...objectOf(fields) }],
    );
    await fc.assert(
      fc.asyncProperty(fc.oneof(wrongReply, holders), async (reply) => {
        const here = watched();
        here.driver.always(operation, reply);
        const outcome = await here.clock.until(outcomeOf(() => call(here)));
        expectOwn(outcome);
        if (outcome.ok && name === "inspect") for (const each of outcome.value as Holder[]) expectHolder(each);
        if (outcome.ok && name === "sweep") expect(Number.isInteger(outcome.value)).toBe(true);
        await expectAtRest(here);
      }),
      runs,
    );
  });

  test("to list is records, or an error of dlock's own", async () => {
    const record = someOf(["key", "owner", "token", "mode", "remainingMs", "heldMs", "metadata"]).map(
      (fields) => new Made(named("a record with", fields, () => ({ key: "a", ...holder, ...objectOf(fields) }))),
    );
    await fc.assert(
      fc.asyncProperty(fc.oneof(record, anything), fc.oneof(record, anything), fc.boolean(), async (first, second, whole) => {
        const here = watched();
        async function* list() {
          yield first.make();
          yield second.make();
        }
        Object.assign(here.driver, { list: () => (whole ? first.make() : list()) });
        const told: (Holder & { key: string })[] = [];
        const outcome = await here.clock.until(
          outcomeOf(async () => {
            for await (const each of here.locks.list()) told.push(each);
          }),
        );
        expectOwn(outcome);
        for (const each of told) {
          expect(typeof each.key).toBe("string");
          expectHolder(each);
        }
        await expectAtRest(here);
      }),
      runs,
    );
  });

  test("to watch, to its end and to close breaks neither a wait nor close()", async () => {
    await fc.assert(
      fc.asyncProperty(
        anything,
        fc.constantFrom("resolve", "reject", "throw", "return", "stop throws"),
        anything,
        async ({ make }, how, closing) => {
          const here = watched();
          here.driver.table.occupy("a", 300, "other");
          Object.assign(here.driver, {
            watch: () => {
              if (how === "throw") throw make();
              if (how === "reject") return Promise.reject(make());
              if (how === "return") return make();
              if (how === "resolve") return Promise.resolve(make());
              return Promise.resolve(() => {
                throw make();
              });
            },
          });
          const lock = await here.clock.until(here.locks.lock("a", { waitMs: 5_000 }));
          await here.clock.until(lock.unlock());
          here.driver.onClose = () => closing.make() as Promise<void>;
          expect(await here.clock.until(outcomeOf(() => here.locks.close()))).toMatchObject({ ok: true });
          await expectAtRest(here);
        },
      ),
      runs,
    );
  });
});
