/** Any URL of a backend and any option of its driver, judged alike for every backend: used, or refused by name, and no password is shown. */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { LockDriver } from "../../src/index.ts";
import { anything, expectDocumented, outcomeOf } from "./hostile.ts";

export interface Urls {
  fromUrl(url: URL): LockDriver | Promise<LockDriver>;
  readonly schemes: readonly string[];
  /** Paths that are usual there; others are made up. */
  readonly paths: readonly string[];
  /** The parameters there are; others are made up. */
  readonly parameters: readonly string[];
  /** Values that are nearly right. */
  readonly values: readonly string[];
}

const secret = "hunter2";
const users = ["", `me:${secret}@`, `%zz:${secret}@`, `me:${secret}%zz@`, `:${secret}%@`, `me:%ff${secret}@`];

export function testUrls({ fromUrl, schemes, paths, parameters, values }: Urls): void {
  const part = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom("%", "%zz", "%ff", "a:b:c", ":", "[::1]:7", "x:99999999", ...values));
  const url = fc
    .record({
      scheme: fc.constantFrom(...schemes),
      user: fc.constantFrom(...users),
      path: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...paths) }, { weight: 1, arbitrary: part }),
      query: fc.array(fc.tuple(fc.constantFrom(...parameters, "other", "__proto__"), part), { maxLength: 3 }),
    })
    .map(({ scheme, user, path, query }) => {
      const made = new URL(`${scheme}//${user}localhost`);
      made.pathname = path;
      for (const [name, value] of query) made.searchParams.append(name, value);
      return made;
    });

  it("any URL makes a driver that closes, or is refused with a RangeError that shows no password", async () => {
    let used = 0;
    await fc.assert(
      fc.asyncProperty(url, async (given) => {
        const outcome = await outcomeOf(() => fromUrl(given));
        if (outcome.ok) {
          used++;
          await (outcome.value as LockDriver).close();
        } else {
          expect(outcome.error).toBeInstanceOf(RangeError);
          expect(String(outcome.error)).not.toContain(secret);
        }
      }),
      { numRuns: 1_000 },
    );
    // Else only refusals were looked at.
    expect(used).toBeGreaterThan(0);
  });
}

export interface Options {
  create(options: never): LockDriver;
  /** The options of which exactly one must be given. */
  readonly sources: readonly string[];
  /** One of them, for the tests of the others. */
  readonly source: object;
  readonly others: readonly string[];
}

export function testOptions({ create, sources, source, others }: Options): void {
  it.each([...sources, ...others])("any value as the option %s is used, or refused by name", async (name) => {
    const rest = sources.includes(name) ? {} : source;
    await fc.assert(
      fc.asyncProperty(anything, async ({ make }) => {
        const outcome = await outcomeOf(() => create({ ...rest, [name]: make() } as never));
        if (outcome.ok) await (outcome.value as LockDriver).close();
        // Where it is undefined the sources are named together; of a URL it is said what is wrong in it.
        else expectDocumented(outcome.error, sources.includes(name) ? [name, name.toUpperCase(), "exactly one of"] : [name]);
      }),
      { numRuns: 300 },
    );
  });

  it("any value in place of the options is refused", async () => {
    await fc.assert(
      fc.asyncProperty(anything, async ({ make }) => {
        const outcome = await outcomeOf(() => create(make() as never));
        if (outcome.ok) await (outcome.value as LockDriver).close();
        else expectDocumented(outcome.error, ["options", "option", ...sources]);
      }),
      { numRuns: 300 },
    );
  });
}
