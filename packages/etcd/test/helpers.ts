/** What the fault tests share: claims with defaults, plain answers, and a look at the cluster through clients of their own. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { AcquireClaim, AcquireResult, DriverError, LockDriver, Outcome } from "@dlock/core";
import { isDriverError } from "@dlock/core";
import { type EtcdCluster, type Service, startEtcd } from "@dlock-tooling/services";
import etcd3 from "etcd3";

export const call = { timeoutMs: 3_000 };

export interface Servers {
  readonly hosts: readonly string[];
  /** A prefix nobody else uses: a given server may hold other things. */
  readonly prefix: string;
  stop(): Promise<void>;
}

/** For tests that mistreat no server: the one given by DLOCK_TEST_ETCD_URL where one is enough, else servers of their own. */
export async function useEtcd(members: 1 | 3): Promise<Servers> {
  const prefix = `dlock-test-${randomBytes(4).toString("hex")}:`;
  const url = process.env.DLOCK_TEST_ETCD_URL;
  if (url && members === 1) return { hosts: [url], prefix, stop: async () => {} };
  const { hosts, stop } = await startEtcd({ members });
  return { hosts, prefix, stop };
}

let made = 0;
export const unique = (what: string) => `${what}-${++made}`;

export function claim(key: string, more: Partial<AcquireClaim> = {}): AcquireClaim {
  return { key, owner: unique("owner"), ttlMs: 30_000, mode: "exclusive", ...more };
}

export async function acquire(driver: LockDriver, wish: AcquireClaim, timeoutMs = call.timeoutMs): Promise<Outcome<AcquireResult>> {
  const [outcome] = await driver.acquire([wish], { timeoutMs });
  assert.ok(outcome);
  return outcome;
}

export async function grant(driver: LockDriver, wish: AcquireClaim, timeoutMs = call.timeoutMs): Promise<bigint> {
  const outcome = await acquire(driver, wish, timeoutMs);
  if (isDriverError(outcome)) throw outcome;
  assert.ok(outcome.acquired, `${wish.key} is refused`);
  return outcome.token;
}

/** The error a claim is answered with; fails for a verdict. */
export async function failure(driver: LockDriver, wish: AcquireClaim, timeoutMs = call.timeoutMs): Promise<DriverError> {
  const outcome = await acquire(driver, wish, timeoutMs);
  assert.ok(
    isDriverError(outcome),
    `expected an error, got ${JSON.stringify(outcome, (_, value) => (typeof value === "bigint" ? `${value}` : value))}`,
  );
  return outcome;
}

export async function eventually(what: string, check: () => boolean | Promise<boolean>, withinMs = 15_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `still waiting after ${withinMs} ms: ${what}`);
    await sleep(10);
  }
}

/** Runs `body` with a client of the test's own, beside the driver. */
export async function withClient<T>(
  hosts: string | readonly string[],
  body: (client: InstanceType<typeof etcd3.Etcd3>) => Promise<T>,
): Promise<T> {
  const client = new etcd3.Etcd3({ hosts: typeof hosts === "string" ? hosts : [...hosts] });
  try {
    return await body(client);
  } finally {
    client.close();
  }
}

/** Which member leads, and which do not. */
export async function roles(cluster: EtcdCluster): Promise<{ leader: Service; followers: Service[] }> {
  for (const [index, host] of cluster.hosts.entries()) {
    const { leader, header } = await withClient(host, (client) => client.maintenance.status());
    if (leader !== header.member_id) continue;
    return { leader: cluster.members[index] as Service, followers: cluster.members.filter((_, at) => at !== index) };
  }
  throw new Error("no member leads");
}
