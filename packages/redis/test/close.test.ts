// A process goes on no longer than its work: a closed driver leaves no socket and no timer, whatever the server does.
import { fileURLToPath } from "node:url";
import { runNode } from "@dlock-tooling/faults";
import { type Service, startRedis, startRedisCluster } from "@dlock-tooling/services";
import { afterAll, beforeAll, expect, it } from "vitest";

const script = fileURLToPath(new URL("close.mjs", import.meta.url));
let server: Service;

beforeAll(async () => {
  server = await startRedis();
});

afterAll(() => server.stop());

async function lingers(url: string): Promise<{ first: string; lingeredMs: number }> {
  const program = runNode(script, [url]);
  const last = await program.line(/^lingered/);
  expect(await program.ended).toEqual({ code: 0, signal: null });
  return { first: program.lines[0] as string, lingeredMs: Number(/\d+/.exec(last)?.[0]) };
}

it("when the server answers", async () => {
  const { first, lingeredMs } = await lingers(server.url);
  expect(first).toBe("granted");
  expect(lingeredMs).toBeLessThan(900);
});

it("when the server is frozen", async () => {
  server.pause();
  const { first, lingeredMs } = await lingers(server.url);
  server.resume();
  expect(first).toMatch(/not ready within \d+ ms/);
  expect(lingeredMs).toBeLessThan(900);
});

it("when there is no server", async () => {
  const gone = await startRedis();
  await gone.stop();
  for (const url of [gone.url, `${gone.url}?cluster=true`]) {
    const { first, lingeredMs } = await lingers(url);
    expect(first).toMatch(/no connection to Redis/);
    expect(lingeredMs).toBeLessThan(900);
  }
});

it("when it is a Cluster", async () => {
  const cluster = await startRedisCluster();
  const { first, lingeredMs } = await lingers(`${cluster.nodes[0]?.url}?cluster=true`);
  await cluster.stop();
  expect(first).toBe("granted");
  expect(lingeredMs).toBeLessThan(900);
});
