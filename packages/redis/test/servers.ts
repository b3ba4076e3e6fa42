// The server that tests share which do not mistreat it: the one given by DLOCK_TEST_REDIS_URL, or one of their own.
import { randomBytes } from "node:crypto";
import { startRedis } from "@dlock-tooling/services";

export interface Server {
  readonly url: string;
  /** A prefix nobody else uses: a given server may hold other things. */
  readonly prefix: string;
  stop(): Promise<void>;
}

export async function useRedis(): Promise<Server> {
  const prefix = `dlock-test-${randomBytes(4).toString("hex")}:`;
  const url = process.env.DLOCK_TEST_REDIS_URL;
  if (url) return { url, prefix, stop: async () => {} };
  const redis = await startRedis();
  return { url: redis.url, prefix, stop: () => redis.stop() };
}
