/** The checks of the texts: their examples and their links. */
import { describe, expect, it } from "vitest";
import { examples } from "../src/checks/examples.ts";
import { links } from "../src/checks/links.ts";
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
