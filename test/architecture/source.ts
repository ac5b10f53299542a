/**
 * Separates the code of a source file from text that only looks like code: imports, functions, comments and strings
 * blanked.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

/** Path below the checkout, with forward slashes → text. */
export type Tree = ReadonlyMap<string, string>

export function readTree(folder: string): [string, string][] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|md)$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .map((path) => [path, readFileSync(join(ROOT, path), 'utf8')])
}

export interface Import {
  readonly specifier: string
  readonly clause: string
  readonly keyword: string
}

export function eachImport(
  tree: Tree,
  judge: (from: string, specifier: string, clause: string, keyword: string) => string | undefined,
): string[] {
  const faults: string[] = []
  for (const [from, text] of tree) {
    if (!from.startsWith('src/') || !from.endsWith('.ts')) continue
    for (const { specifier, clause, keyword } of importsOf(text)) {
      const fault = judge(from, specifier, clause, keyword)
      if (fault !== undefined) faults.push(`${from}: '${specifier}': ${fault}`)
    }
  }
  return faults
}

/** Static, side-effect, re-exporting, dynamic and type imports; `bare` tells code from text that looks like it. */
export function importsOf(text: string): Import[] {
  const { code, bare } = scan(text)
  const found: Import[] = []
  for (const match of code.matchAll(/\b(from|import)\b\s*\(?\s*(['"])([^'"\n]+)\2/g)) {
    if (!bare.startsWith(match[1]!, match.index)) continue
    const before = bare.slice(0, match.index)
    const start =
      match[1] === 'from' ? Math.max(before.lastIndexOf('import'), before.lastIndexOf('export')) : match.index
    const keyword = bare.slice(start, start + 6)
    found.push({
      specifier: match[3]!,
      clause: match[1] === 'from' ? bare.slice(start + 6, match.index).trim() : '',
      keyword,
    })
  }
  return found
}

/** Every function body: after `=>`, or after a parameter list that a keyword like `if` does not own. */
export function functionsOf(text: string): { line: number; length: number }[] {
  const { bare } = scan(text)
  const found: { line: number; length: number }[] = []
  const heads =
    /=>\s*\{|\bfunction\b[^(]*\(|^[ \t]*(?:(?:static|async|get|set|override|private|public|protected)\s+|\*)*(?!(?:if|for|while|switch|catch|with|return|await|function)\b)[#\w]+\s*(?:<[^(]*>)?\s*\(/gm
  for (const head of bare.matchAll(heads)) {
    const last = head.index + head[0].length - 1
    const open = bare[last] === '{' ? last : bodyAfter(bare, closing(bare, last) + 1)
    if (open === undefined || /\bdescribe\b.*$/.test(bare.slice(bare.lastIndexOf('\n', open) + 1, open))) continue
    const line = lineOf(bare, head.index + head[0].search(/\S/))
    found.push({ line, length: lineOf(bare, closing(bare, open)) - line + 1 })
  }
  return found
}

/** Index of the `{` of a body that starts at `at`, after the parameters; a return type may hold braces of its own. */
function bodyAfter(bare: string, at: number): number | undefined {
  let index = at + /^\s*/.exec(bare.slice(at))![0].length
  if (bare[index] === '{') return index
  if (bare[index] !== ':') return undefined
  for (let inType = true; index < bare.length; index++) {
    const char = bare[index]!
    if (char === '{' && !inType) return index
    if ('{([<'.includes(char)) index = closing(bare, index)
    else if (/[;=\n]/.test(char) && bare[index + 1] !== '>') return undefined
    if (!/\s/.test(char)) inType = /[:|&?>]/.test(char) && bare[index] === char
  }
  return undefined
}

/** Index of the bracket that closes the one at `open`; `=>` closes nothing. */
function closing(bare: string, open: number): number {
  const [up, down] = [bare[open]!, { '(': ')', '{': '}', '[': ']', '<': '>' }[bare[open]!]!]
  let depth = 0
  for (let index = open; index < bare.length; index++) {
    if (bare[index] === up) depth++
    else if (bare[index] === down && bare[index - 1] !== '=' && --depth === 0) return index
  }
  return bare.length
}

export function lineOf(text: string, at: number): number {
  return text.slice(0, at).split('\n').length
}

/** `code`: comments blanked. `bare`: comments and the inside of strings, templates (but `${code}`) and regular expressions blanked. */
export function scan(text: string): { code: string; bare: string } {
  let [code, bare] = ['', '']
  const templates: number[] = [] // for each `${` we are in: braces open inside it
  for (let at = 0; at < text.length;) {
    const closesHole = text[at] === '}' && templates.at(-1) === 0
    TOKEN.lastIndex = at
    const part = closesHole || text[at] === '`' ? templatePart(text, at) : (TOKEN.exec(text)?.[0] ?? text[at]!)
    const isRegex = /^\/[^/*]/.test(part)
    const isComment = /^\/[/*]/.test(part)
    const taken = isRegex && !/(^|[(,=:[!&|?{};+>]|\breturn)\s*$/.test(bare) ? '/' : part // a division
    if (closesHole) templates.pop()
    else if (templates.length > 0 && /^[{}]$/.test(taken)) templates[templates.length - 1]! += taken === '{' ? 1 : -1
    const isTemplate = closesHole || taken[0] === '`'
    if (isTemplate && taken.endsWith('${')) templates.push(0)
    code += isComment ? blank(taken) : taken
    bare += isComment
      ? blank(taken)
      : /^['"`/}]./s.test(taken)
        ? taken[0] + blank(taken.slice(1, taken.endsWith('${') ? -2 : -1)) + taken.slice(taken.endsWith('${') ? -2 : -1)
        : taken
    at += taken.length
  }
  return { code, bare }
}

/** From a backtick, or the brace that ends a hole, to the next hole or the end of the template. */
function templatePart(text: string, at: number): string {
  TEMPLATE_TEXT.lastIndex = at + 1
  return text[at]! + (TEMPLATE_TEXT.exec(text)?.[0] ?? '')
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ')
}

const TOKEN =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y
const TEMPLATE_TEXT = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/y
