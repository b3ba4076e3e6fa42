/** The checks of the texts: their examples, their links and the tests they name. */
import { describe, expect, it } from "vitest";
import { examples } from "../src/checks/examples.ts";
import { links } from "../src/checks/links.ts";
import { namedTests } from "../src/checks/named-tests.ts";
import { examplesIn } from "../src/examples.ts";
import { checkout, faultsIn, withTools } from "./fixture.ts";

const block = (fence: string, ...lines: string[]) => [`\`\`\`${fence}`, ...lines, "```", ""].join("\n");

describe("examples", () => {
  const faultsOf = (text: string) => examples.run(withTools(checkout({ "README.md": text })), { update: false });

  it("finds nothing wrong with what compiles and runs", async () => {
    const text = ["Text.", block("ts", 'import { strictEqual } from "node:assert";', "const one: number = 1;", "strictEqual(one, 1);")];
    expect(await faultsOf(text.join("\n\n"))).toEqual([]);
  });

  it("catches one that does not compile, at its line", async () => {
    expect(await faultsOf(`Text.\n${block("ts", "const a = 1;", 'const b: number = "b";')}`)).toEqual([
      expect.stringMatching(/^README\.md:4: error TS2322/),
    ]);
  });

  it("catches one that throws", async () => {
    expect(await faultsOf(block("ts", 'throw new Error("boom");'))).toEqual([expect.stringMatching(/^README\.md:2: [\s\S]*boom/)]);
  });

  it("only compiles what says no-run", async () => {
    expect(await faultsOf(block("ts no-run", 'throw new Error("boom");'))).toEqual([]);
    expect(await faultsOf(block("ts no-run", "missing();"))).toHaveLength(1);
  });

  it("catches a shell block that fails, and leaves one alone that does not say run", async () => {
    expect(await faultsOf(block("sh run", "exit 3"))).toHaveLength(1);
    expect(await faultsOf(block("sh", "exit 3"))).toEqual([]);
  });

  it("runs only what needs no server", () => {
    const runs = (specifier: string) => examplesIn(block("ts", `import { x } from "${specifier}";`))[0]?.runs;
    expect([runs("@dlock/core"), runs("@dlock/memory"), runs("@dlock/redis"), runs("ioredis")]).toEqual([true, true, false, false]);
  });

  it("puts hidden lines into the block that follows, at their own line numbers, and into no other", () => {
    const text = `<!-- ts\nconst a = 1;\n-->\n\n${block("ts", "a + 1;")}\n${block("ts", "b;")}`;
    const [first, second] = examplesIn(text);
    expect(first?.code.split("\n")).toEqual(["", "const a = 1;", "", "", "", "a + 1;"]);
    expect(second?.code.trim()).toBe("b;");
  });
});

describe("links", () => {
  it("catches a file that is not there and a heading that is not in it", async () => {
    const files = {
      "README.md": "[a](docs/a.md) [b](docs/b.md) [c](docs/a.md#what-is-there) [d](#nothing)",
      "docs/a.md": "# What *is* there\n",
    };
    expect(await faultsIn(links, files)).toEqual(["README.md: docs/b.md leads nowhere", "README.md: README.md has no heading #nothing"]);
  });

  it("leaves other sites and code alone", async () => {
    expect(await faultsIn(links, { "README.md": "[x](https://example.com/x)\n```md\n[y](nowhere.md)\n```\n" })).toEqual([]);
  });
});

describe("named tests", () => {
  const files = {
    "packages/a/test/a.test.ts": [
      'it("is granted", () => {});',
      'test.each([1])("takes %i", () => {});',
      "it('says \\'no\\'', () => {});",
      'const other = "is not granted";',
    ].join("\n"),
    "packages/a/src/cases.ts": 'export const cases = [{ name: "one of 40 wins", run() {} }];',
  };
  const faultsOf = (...lines: string[]) => faultsIn(namedTests, { ...files, "docs/seed-coverage.md": lines.join("\n") });

  it("finds nothing wrong with titles that are in the files they follow", async () => {
    const test = "[a/a](../packages/a/test/a.test.ts)";
    const lines = [
      `${test} “is granted”; ${test} “takes %i”; ${test} “says 'no'”`,
      "[a/cases](../packages/a/src/cases.ts) “one of 40 wins”",
    ];
    expect(await faultsOf(...lines)).toEqual([]);
  });

  it("catches a title that is not there, or is no title there, and a file that is not there", async () => {
    const lines = ["was granted", "is not granted"].map((title) => `[a/a](../packages/a/test/a.test.ts) “${title}”`);
    expect(await faultsOf(...lines, "[b](../packages/b/test/b.test.ts) “is granted”")).toEqual([
      "docs/seed-coverage.md: ../packages/a/test/a.test.ts has no test “was granted”",
      "docs/seed-coverage.md: ../packages/a/test/a.test.ts has no test “is not granted”",
      "docs/seed-coverage.md: ../packages/b/test/b.test.ts leads nowhere",
    ]);
  });

  it("catches a title that names no file", async () => {
    expect(await faultsOf("[a/a](../packages/a/test/a.test.ts) “is granted”, “is refused”")).toEqual([
      "docs/seed-coverage.md: “is refused” does not follow the link to its file",
    ]);
  });
});
