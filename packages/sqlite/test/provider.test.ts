/** The driver under the engine: what users see of two processes' worth of providers, and of a file that goes away. */
import { rmSync } from "node:fs";
import { createLockProvider, type LockProvider } from "@dlock/core";
import { expect, it, onTestFinished } from "vitest";
import { sqliteDriver } from "../src/index.ts";
import { temporaryFile } from "./support/files.ts";

function open(path: string): LockProvider {
  const locks = createLockProvider(sqliteDriver(path), { ttlMs: 600 });
  onTestFinished(() => locks.close());
  return locks;
}

it("providers with a connection each take turns", async () => {
  const path = temporaryFile();
  const providers = [open(path), open(path), open(path)];
  let inside = 0;
  const tokens: bigint[] = [];
  const work = Array.from({ length: 60 }, (_, index) =>
    providers[index % 3]?.withLock("k", { waitMs: 15_000 }, async (lock) => {
      inside += 1;
      expect(inside).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      tokens.push(lock.token);
      inside -= 1;
    }),
  );
  await Promise.all(work);
  expect(tokens).toHaveLength(60);
  expect(tokens).toEqual([...tokens].sort((a, b) => (a < b ? -1 : 1)));
});

it("a holder learns that the database file was deleted, and no lock is given any more", async () => {
  const path = temporaryFile();
  const locks = open(path);
  const lock = await locks.lock("k");
  const lost = new Promise((resolve) => lock.signal.addEventListener("abort", resolve));
  rmSync(path);
  await lost;
  expect(lock.isHeld).toBe(false);
  expect(lock.signal.reason).toMatchObject({ code: "DLOCK_LOST", reason: "refused" });
  await expect(locks.lock("k")).rejects.toMatchObject({ code: "DLOCK_BACKEND", message: expect.stringMatching(/deleted .*restart/) });
});
