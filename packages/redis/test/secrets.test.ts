/** A wrong password is told, and told without the password. */
import { inspect } from "node:util";
import { createLockProviderFromConfig, registerBackend } from "@dlock/core";
import { startRedis } from "@dlock-tooling/services";
import { expect, test } from "vitest";
import { backend } from "../src/index.ts";

registerBackend("redis", backend);

test("a password that the server refuses appears nowhere in the error", async () => {
  const server = await startRedis();
  try {
    for (const redis of [
      { url: `redis://admin:hunter2@127.0.0.1:${server.port}` },
      { connection: { host: "127.0.0.1", port: server.port, username: "admin", password: "hunter2" } },
    ]) {
      const error: unknown = await createLockProviderFromConfig({ provider: "redis", redis }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "DLOCK_BACKEND", message: expect.stringContaining("check user name and password") });
      expect(inspect(error, { depth: null, showHidden: true })).not.toContain("hunter2");
    }
  } finally {
    await server.stop();
  }
});
