/** The words of a TypeScript source: enough to tell names from comments and strings, and statements from each other. */
import { createScanner, SyntaxKind } from "typescript/unstable/ast";

export { SyntaxKind };

export interface Token {
  readonly kind: SyntaxKind;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** After these a slash divides; after anything else it begins a regular expression. */
const operandEnds = new Set([
  SyntaxKind.Identifier,
  SyntaxKind.PrivateIdentifier,
  SyntaxKind.NumericLiteral,
  SyntaxKind.BigIntLiteral,
  SyntaxKind.StringLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateTail,
  SyntaxKind.RegularExpressionLiteral,
  SyntaxKind.CloseParenToken,
  SyntaxKind.CloseBracketToken,
  SyntaxKind.CloseBraceToken,
  SyntaxKind.ThisKeyword,
  SyntaxKind.SuperKeyword,
]);

/** Every token with the comments left out. */
export function tokensOf(source: string): Token[] {
  return scan(source).filter(({ kind }) => !isComment(kind));
}

/** The comments alone. */
export function commentsOf(source: string): Token[] {
  return scan(source).filter(({ kind }) => isComment(kind));
}

export function isComment(kind: SyntaxKind): boolean {
  return kind === SyntaxKind.SingleLineCommentTrivia || kind === SyntaxKind.MultiLineCommentTrivia;
}

export function lineOf(source: string, offset: number): number {
  return source.slice(0, offset).split("\n").length;
}

/** Tokens and comments in their order, without blanks and line ends. */
export function scan(source: string): Token[] {
  const scanner = createScanner(false);
  scanner.setText(source);
  const found: Token[] = [];
  let before: SyntaxKind | undefined;
  // How many braces are open inside each template that is open.
  const templates: number[] = [];
  for (let kind = scanner.scan(); kind !== SyntaxKind.EndOfFile; kind = scanner.scan()) {
    if (kind === SyntaxKind.WhitespaceTrivia || kind === SyntaxKind.NewLineTrivia) continue;
    const depth = templates.length - 1;
    if ((kind === SyntaxKind.SlashToken || kind === SyntaxKind.SlashEqualsToken) && !(before !== undefined && operandEnds.has(before)))
      kind = scanner.reScanSlashToken();
    else if (kind === SyntaxKind.TemplateHead) templates.push(0);
    else if (kind === SyntaxKind.OpenBraceToken && depth >= 0) templates[depth]! += 1;
    else if (kind === SyntaxKind.CloseBraceToken && depth >= 0) {
      if (templates[depth] === 0) {
        kind = scanner.reScanTemplateToken(false);
        if (kind === SyntaxKind.TemplateTail) templates.pop();
      } else templates[depth]! -= 1;
    }
    const start = scanner.getTokenStart();
    found.push({ kind, text: source.slice(start, scanner.getTokenEnd()), start, end: scanner.getTokenEnd() });
    if (!isComment(kind)) before = kind;
  }
  return found;
}

export interface ImportOf {
  readonly specifier: string;
  readonly start: number;
}

/** What a file imports, statically, dynamically or to export it again, where that is written out. */
export function importsOf(source: string): ImportOf[] {
  const tokens = tokensOf(source);
  const imports: ImportOf[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token.kind !== SyntaxKind.StringLiteral) continue;
    const [previous, last] = [tokens[index - 2], tokens[index - 1]];
    const named = last?.kind === SyntaxKind.FromKeyword || last?.kind === SyntaxKind.ImportKeyword;
    const called = last?.kind === SyntaxKind.OpenParenToken && previous?.kind === SyntaxKind.ImportKeyword;
    if (named || called) imports.push({ specifier: token.text.slice(1, -1), start: token.start });
  }
  return imports;
}
