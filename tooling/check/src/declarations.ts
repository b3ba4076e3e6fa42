/** What a package shows of itself: every exported name with its declaration, read from the built `.d.ts` files. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isComment, SyntaxKind, scan, type Token, tokensOf } from "./tokens.js";

interface Statement {
  readonly tokens: readonly Token[];
  /** As written, without comments. */
  readonly text: string;
}

/** These end with their closing brace; every other statement of a `.d.ts` ends with a semicolon. */
const blocks = new Set([
  SyntaxKind.InterfaceKeyword,
  SyntaxKind.ClassKeyword,
  SyntaxKind.EnumKeyword,
  SyntaxKind.NamespaceKeyword,
  SyntaxKind.ModuleKeyword,
]);

/**
 * The declarations of everything that `path`, a built `.d.ts`, exports, sorted by name.
 *
 * @throws Error for an export whose declaration is not found: `export *`, or a name from another package.
 */
export function declarationsOf(path: string): string[] {
  const byName = new Map<string, string>();
  for (const { name, original, file } of exportsOf(path)) byName.set(name, declare(original, name, file));
  return [...byName].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, text]) => text);
}

interface Exported {
  readonly name: string;
  /** What it is called in the file that it comes from. */
  readonly original: string;
  readonly file: string;
}

function exportsOf(path: string): Exported[] {
  return statementsOf(path).flatMap(({ tokens, text }) => {
    if (tokens[0]?.kind !== SyntaxKind.ExportKeyword) return [];
    const list = tokens.findIndex(({ kind }) => kind === SyntaxKind.OpenBraceToken);
    const isList = list === 1 || (list === 2 && tokens[1]?.kind === SyntaxKind.TypeKeyword);
    if (!isList) {
      const name = nameOf(tokens);
      if (name === undefined) throw new Error(`${path}: cannot tell what this exports: ${text}`);
      return [{ name, original: name, file: path }];
    }
    const from = tokens.find(({ kind }) => kind === SyntaxKind.StringLiteral)?.text.slice(1, -1);
    const file = from === undefined ? path : join(dirname(path), from.replace(/\.js$/, ".d.ts"));
    return namesIn(tokens.slice(list + 1)).map((names) => ({ ...names, file }));
  });
}

/** `{ a, type b, c as d }`, from behind its brace. */
function namesIn(tokens: readonly Token[]): { name: string; original: string }[] {
  const end = tokens.findIndex(({ kind }) => kind === SyntaxKind.CloseBraceToken);
  const names: { name: string; original: string }[] = [];
  let words: string[] = [];
  for (const { kind, text } of tokens.slice(0, end + 1)) {
    if (kind !== SyntaxKind.CommaToken && kind !== SyntaxKind.CloseBraceToken) words.push(text);
    else if (words.length > 0) {
      const [first, ...rest] = words[0] === "type" && words.length > 1 && words[1] !== "as" ? words.slice(1) : words;
      names.push({ original: first as string, name: rest[1] ?? (first as string) });
      words = [];
    }
  }
  return names;
}

function declare(original: string, name: string, file: string): string {
  const statements = statementsOf(file);
  const own = statements.filter(({ tokens }) => nameOf(tokens) === original).map(({ text }) => text);
  if (own.length > 0) return own.join("\n") + (original === name ? "" : `\nexport { ${original} as ${name} };`);
  const passedOn = exportsOf(file).find((each) => each.name === original && each.file !== file);
  if (passedOn === undefined) throw new Error(`${file}: found no declaration of ${original}`);
  return declare(passedOn.original, name, passedOn.file);
}

/** What a statement declares; undefined for imports and lists of exports. */
function nameOf(tokens: readonly Token[]): string | undefined {
  const words = new Set([
    "export",
    "declare",
    "default",
    "abstract",
    "const",
    "let",
    "var",
    "function",
    "class",
    "interface",
    "type",
    "enum",
  ]);
  if (tokens[0]?.kind === SyntaxKind.ImportKeyword) return undefined;
  const name = tokens.find(({ text }) => !words.has(text));
  return name?.kind === SyntaxKind.Identifier ? name.text : undefined;
}

const parsed = new Map<string, readonly Statement[]>();

function statementsOf(path: string): readonly Statement[] {
  const known = parsed.get(path);
  if (known !== undefined) return known;
  const source = withoutComments(readFileSync(path, "utf8"));
  const statements: Statement[] = [];
  let tokens: Token[] = [];
  let depth = 0;
  for (const token of tokensOf(source)) {
    tokens.push(token);
    if (token.kind === SyntaxKind.OpenBraceToken) depth++;
    if (token.kind === SyntaxKind.CloseBraceToken) depth--;
    const closes = token.kind === SyntaxKind.CloseBraceToken && tokens.slice(0, 4).some(({ kind }) => blocks.has(kind));
    if (depth > 0 || !(closes || token.kind === SyntaxKind.SemicolonToken)) continue;
    statements.push({ tokens, text: source.slice(tokens[0]?.start, token.end) });
    tokens = [];
  }
  parsed.set(path, statements);
  return statements;
}

/** Without the lines that held nothing but a comment, and without blank ones. */
function withoutComments(source: string): string {
  let text = "";
  let end = 0;
  for (const token of scan(source)) {
    if (!isComment(token.kind)) continue;
    text += source.slice(end, token.start);
    end = token.end;
  }
  return (text + source.slice(end)).replace(/[ \t]+$/gm, "").replace(/\n{2,}/g, "\n");
}
