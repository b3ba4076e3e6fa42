/** The checks that read sources, each shown what it must catch and what it must leave alone. */
import { describe, expect, it } from "vitest";
import { boundaries } from "../src/checks/boundaries.ts";
import { headers } from "../src/checks/headers.ts";
import { leftovers } from "../src/checks/leftovers.ts";
import { namedExports } from "../src/checks/named-exports.ts";
import { faultsIn, manifestOf } from "./fixture.ts";

/** One source file in one package. */
const source = (name: string, file: string, text: string) => ({
  [`packages/${name}/package.json`]: manifestOf(name),
  [`packages/${name}/${file}`]: text,
});

describe("boundaries", () => {
  const faultsOf = (name: string, text: string, file = "src/some.ts") => faultsIn(boundaries, source(name, file, text));

  it("lets a driver import core, its client, node and its own files", async () => {
    const text = `import type { Redis } from "ioredis";\nimport { systemClock } from "@dlock/core";\nimport "node:net";\nimport { a } from "./a.js";`;
    expect(await faultsOf("redis", text)).toEqual([]);
  });

  it.each([
    ["a driver that imports another client", "redis", `import mysql from "mysql2/promise";`],
    ["a driver that imports another driver", "mysql", `export { memoryDriver } from "@dlock/memory";`],
    ["the workflow layer that imports a backend", "workflow", `import { memoryDriver } from "@dlock/memory";`],
    ["a dynamic import", "cli", `const { backend } = await import("@dlock/sqlite");`],
    ["core that imports a backend", "core", `import type { Database } from "better-sqlite3";`],
    ["core that imports itself by its name", "core", `import { systemClock } from "@dlock/core";`],
    ["an import of another package's files", "redis", `import { x } from "../../core/src/clock.js";`],
    ["an import of timers", "etcd", `import timers from "node:timers/promises";`],
  ])("catches %s", async (_, name, text) => {
    expect(await faultsOf(name, text)).toHaveLength(1);
  });

  it("catches any import in the driver contract", async () => {
    expect(await faultsOf("core", `import type { Clock } from "./clock.js";`, "src/driver.ts")).toHaveLength(1);
  });

  it.each(["setTimeout(run, 5);", "const now = Date.now();", "globalThis.x = performance.now();", "setImmediate(run);"])(
    "catches %s outside of the clock",
    async (text) => {
      expect(await faultsOf("etcd", text)).toEqual([expect.stringContaining("src/some.ts:1")]);
    },
  );

  it("leaves members, strings, templates, comments, regular expressions and the clock itself alone", async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source code that holds a template.
    const text = '// Date\nclock.performance(/Date"/, "Date", `Date ${clock.Date} Date`);';
    expect(await faultsOf("etcd", text)).toEqual([]);
    expect(await faultsOf("core", "Date.now();", "src/clock.ts")).toEqual([]);
  });

  it("looks into the code inside a template", async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source code that holds a template.
    expect(await faultsOf("etcd", "const text = `it is ${{ at: Date.now() }.at}`;")).toHaveLength(1);
  });

  it("catches a package that has no rule", async () => {
    expect(await faultsOf("consul", "")).toHaveLength(1);
  });
});

describe("headers", () => {
  it.each([
    ["no comment", "export const a = 1;"],
    ["a comment that says nothing", "// ----\nexport const a = 1;"],
    ["a comment further down", 'import "node:fs";\n/** What this file owns. */'],
  ])("catches a file with %s", async (_, text) => {
    expect(await faultsIn(headers, source("etcd", "src/a.ts", text))).toHaveLength(1);
    expect(await faultsIn(headers, source("etcd", "src/index.ts", `const b = 2;\n${text}`))).toHaveLength(1);
  });

  it("wants none of an index that only exports, and accepts one behind the line that names the interpreter", async () => {
    expect(
      await faultsIn(headers, source("etcd", "src/index.ts", 'export { a } from "./a.js";\nexport type { B } from "./b.js";')),
    ).toEqual([]);
    expect(await faultsIn(headers, source("cli", "src/main.ts", "#!/usr/bin/env node\n/** The command's entry. */\nrun();"))).toEqual([]);
  });
});

describe("leftovers", () => {
  // Put together here, so that this file holds none itself.
  it.each([
    ["skip", "it"],
    ["only", "describe"],
    ["to" + "do", "test"],
  ])("catches a test marked %s", async (modifier, runner) => {
    expect(await faultsIn(leftovers, source("etcd", "test/a.test.ts", `${runner}.${modifier}("works", () => {});`))).toHaveLength(1);
  });

  it.each(["TO" + "DO", "FIX" + "ME"])("catches the note %s", async (note) => {
    expect(await faultsIn(leftovers, source("etcd", "src/a.ts", `/** ${note}: finish. */`))).toHaveLength(1);
  });

  it("leaves the skip of a running test and words in strings alone", async () => {
    const text = 'it("says TODO", (test) => { test.context.skip(); running.skip("not offered"); });';
    expect(await faultsIn(leftovers, source("etcd", "test/a.test.ts", text))).toEqual([]);
  });
});

describe("named exports", () => {
  it.each(['export * from "./a.js";', 'export type * from "./a.js";', 'export * as all from "./a.js";'])("catches %s", async (text) => {
    expect(await faultsIn(namedExports, source("etcd", "src/index.ts", text))).toHaveLength(1);
  });

  it("accepts names", async () => {
    expect(await faultsIn(namedExports, source("etcd", "src/index.ts", 'export { a } from "./a.js";'))).toEqual([]);
  });
});
