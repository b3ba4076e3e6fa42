// What a batch says once because all claims have it in common, and what it says for each: the outcomes are the same.
import type { LockDriver, ReleaseClaim } from "@dlock/core";
import { type Service, startRedis } from "@dlock-tooling/services";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { redisDriver } from "../src/index.ts";
import { call, exclusive, only } from "./claims.ts";

let server: Service;
let admin: Redis;
let driver: LockDriver;

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.url);
});

beforeEach(async () => {
  await admin.flushall();
  driver = redisDriver({ url: server.url });
});

afterEach(() => driver.close());

afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

const keys = ["a", "b", "c"];

async function take(more: readonly object[]): Promise<bigint[]> {
  const outcomes = await driver.acquire(
    keys.map((key, index) => exclusive(key, `owner of ${key}`, more[index])),
    call,
  );
  return outcomes.map((outcome) => (outcome as { token: bigint }).token);
}

/** Claims that come too late. */
async function refuse(...late: readonly string[]): Promise<void> {
  const outcomes = await driver.acquire(
    late.map((key) => exclusive(key, "late")),
    call,
  );
  for (const outcome of outcomes) expect(outcome).toMatchObject({ acquired: false });
}

const holders = async () => (await Promise.all(keys.map((key) => driver.inspect(key, call)))).map(([holder]) => holder);
const remaining = async () => (await holders()).map((holder) => holder?.remainingMs ?? 0);

describe("claims that differ in", () => {
  it("nothing get tokens in a row", async () => {
    const [a = 0n, ...rest] = await take([]);
    expect(rest).toEqual([a + 1n, a + 2n]);
    expect((await holders()).map((holder) => holder?.token)).toEqual([a, ...rest]);
  });

  it("nothing get tokens in a row above a counter that is ahead of the clock", async () => {
    await admin.set("lock:{0}", "5000000000000000");
    expect(await take([])).toEqual([5_000_000_000_000_001n, 5_000_000_000_000_002n, 5_000_000_000_000_003n]);
    expect(await take([])).toEqual([5_000_000_000_000_001n, 5_000_000_000_000_002n, 5_000_000_000_000_003n]);
    expect(await admin.get("lock:{0}")).toBe("5000000000000006");
  });

  it("TTL, mode and metadata get what each asked for", async () => {
    await take([{ ttlMs: 10_000 }, { ttlMs: 20_000, mode: "shared", limit: 2 }, { ttlMs: 30_000, metadata: "what c does" }]);
    const [a, b, c] = await holders();
    expect([a, b, c].map((holder) => Math.ceil((holder?.remainingMs ?? 0) / 10_000))).toEqual([1, 2, 3]);
    expect([a?.mode, b?.mode, c?.mode]).toEqual(["exclusive", "shared", "exclusive"]);
    expect([a?.metadata, b?.metadata, c?.metadata]).toEqual([undefined, undefined, "what c does"]);
  });

  it("the last one's TTL only are not taken for alike", async () => {
    await take([{ ttlMs: 10_000 }, { ttlMs: 10_000 }, { ttlMs: 90_000 }]);
    expect((await remaining()).map((ms) => ms > 10_000)).toEqual([false, false, true]);
  });
});

describe("extensions", () => {
  it("that are alike never shorten a lease that once had a longer TTL", async () => {
    const tokens = await take([{ ttlMs: 60_000 }, { ttlMs: 60_000 }, { ttlMs: 60_000 }]);
    const claims = keys.map((key, i) => ({ key, owner: `owner of ${key}`, token: tokens[i] ?? 0n, ttlMs: 10_000, longestMs: 60_000 }));
    expect(await driver.extend(claims, call)).toEqual([true, true, true]);
    for (const ms of await remaining()) expect(ms).toBeGreaterThan(30_000);
  });

  it("that differ get what each asked for", async () => {
    const tokens = await take([{ ttlMs: 60_000 }, { ttlMs: 60_000 }, { ttlMs: 60_000 }]);
    const claim = (i: number, ttlMs: number, longestMs: number) => ({
      key: keys[i] as string,
      owner: `owner of ${keys[i]}`,
      token: tokens[i] as bigint,
      ttlMs,
      longestMs,
    });
    // The second one's clock stepped back: it outlasts all it ever had.
    const claims = [claim(0, 90_000, 90_000), claim(1, 10_000, 20_000), claim(2, 10_000, 60_000)];
    expect(await driver.extend(claims, call)).toEqual([true, true, true]);
    const [a = 0, b = 0, c = 0] = await remaining();
    expect(a).toBeGreaterThan(60_000);
    expect(b).toBeLessThanOrEqual(10_001);
    expect(c).toBeGreaterThan(30_000);
  });
});

describe("a release of several keys", () => {
  const told: string[] = [];
  const claims = (tokens: readonly bigint[]) =>
    keys.map((key, index) => ({ key, owner: `owner of ${key}`, token: tokens[index] as bigint })) as [
      ReleaseClaim,
      ReleaseClaim,
      ReleaseClaim,
    ];
  let listener: Redis;

  beforeEach(async () => {
    told.length = 0;
    listener = new Redis(server.url);
    listener.on("pmessage", (_, channel: string) => told.push(channel.replace(/^.*\}/, "")));
    await listener.psubscribe("lock:*");
  });

  afterEach(() => listener.disconnect());

  it("is told of on the channel of each that has refused somebody, and on no other", async () => {
    const [a, b, c] = claims(await take([]));
    await refuse("a", "b", "c");
    expect(await driver.release([a, { ...b, owner: "someone else" }, c], call)).toEqual([true, false, true]);
    expect((await holders()).map((holder) => holder?.owner)).toEqual([undefined, "owner of b", undefined]);
    expect(await only(driver.release([b], call))).toBe(true);
    await expect.poll(() => told).toEqual(["a", "c", "b"]);
  });

  it("is not told of where nobody was refused since the grant", async () => {
    await driver.release(claims(await take([])), call);
    const again = claims(await take([]));
    await refuse("c");
    expect(await driver.release(again, call)).toEqual([true, true, true]);
    await expect.poll(() => told).toEqual(["c"]);
  });

  it("leaves what a refusal writes down out of the sight of who looks", async () => {
    await take([{ metadata: "ends with !" }, { metadata: "ends with ." }, {}]);
    const seen = await holders();
    await refuse("a", "b", "c");
    expect((await holders()).map((holder) => holder?.metadata)).toEqual(["ends with !", "ends with .", undefined]);
    expect((await holders()).map((holder) => holder?.owner)).toEqual(seen.map((holder) => holder?.owner));
  });
});
