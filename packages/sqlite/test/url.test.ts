/** `sqlite:` URLs. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { backend } from "../src/index.ts";
import { call } from "./support/claims.ts";
import { temporaryFolder } from "./support/files.ts";

it("an absolute path, with options, opens that file", async () => {
  const path = join(temporaryFolder(), "my locks.db");
  for (const url of [`sqlite:${path}`, `sqlite://${path}?synchronous=normal`]) {
    const driver = backend.fromUrl(new URL(url));
    onTestFinished(() => driver.close());
    expect(driver.name).toBe("sqlite");
    await driver.ping(call);
  }
  expect(existsSync(path)).toBe(true);
});

it("a relative path is one of the working directory", async () => {
  const folder = temporaryFolder();
  const relative = join("..", "..", "..", "..", "..", "..", folder, "locks.db");
  const driver = backend.fromUrl(new URL(`sqlite:${relative}`));
  onTestFinished(() => driver.close());
  await driver.ping(call);
  expect(existsSync(join(folder, "locks.db"))).toBe(true);
});

it.each([
  ["sqlite:", /names a file/],
  ["sqlite://host/locks.db", /no host .*"host"/],
  ["sqlite:./locks.db?sync=full", /parameter sync: it takes synchronous/],
  ["sqlite:./locks.db?synchronous=off", /synchronous must be full or normal, not "off"/],
])("%s is refused", (url, message) => {
  const open = () => backend.fromUrl(new URL(url));
  expect(open).toThrow(RangeError);
  expect(open).toThrow(message);
});
