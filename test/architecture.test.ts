/**
 * The boundaries of CONTRIBUTING.md as tests: who imports whom, what the core may not touch, sizes, READMEs,
 * and that the error table and docs/errors.md are one list. Every checker is a pure function over a set of
 * files, so that each is also fed something bad and seen to object: a check must not be able to pass on nothing.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ERRORS } from '../src/base/errors.ts'

/** Path below the checkout, with forward slashes → text. */
type Tree = ReadonlyMap<string, string>
type Checker = (tree: Tree) => string[]

// ── The checkout passes ────────────────────────────────────────────────────────────────────────────────────────────

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')
const tree = new Map([...readTree('src'), ...readTree('test'), ...readTree('bench')])

test('the checkout is really looked at', () => {
  const sources = [...tree.keys()].filter((path) => path.startsWith('src/') && path.endsWith('.ts'))
  assert.ok(sources.length > 10, `only ${sources.length} files found below src`)
  assert.ok(sources.some((path) => importsOf(tree.get(path)!).length > 0), 'no import found in any file')
  assert.ok(tree.has('test/architecture.test.ts'))
})

test('imports go downwards only, and neighbours ignore each other', () => passes(checkLayers))
test('the core imports no package and no part of Node, crypto/ only its primitives', () => passes(checkPackages))
test('the core reads no clock, draws no randomness, holds no timer and waits for nothing', () => passes(checkPurity))
test('no file imports itself through others', () => passes(checkCycles))
test('only src/index.ts re-exports, and nothing imports it', () => passes(checkIndex))
test('no file is longer than 500 lines and no function longer than 60', () => passes(checkSizes))
test('every folder of src has a README.md of at most 15 lines', () => passes(checkReadmes))
test('docs/errors.md lists every error code with its exit and HTTP status, and no other', () => {
  assert.deepEqual(checkErrorDocs(readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')), [])
})

// ── Each checker objects to something bad ──────────────────────────────────────────────────────────────────────────

test('a wrong import is seen, whichever way it is written', () => {
  const bad: [string, string][] = [
    ['src/base/types.ts', "import { a } from '../wire/packet.ts'"],
    ['src/wire/packet.ts', "import type { A } from '../crypto/seal.ts'"],
    ['src/crypto/seal.ts', "export { a } from '../wire/packet.ts'"],
    ['src/proto/stream/send.ts', "import {\n  a,\n} from '../tunnel/rekey.ts'"],
    ['src/proto/machine.ts', "import '../runtime/driver.ts'"],
    ['src/server/registry.ts', "const a = await import('../services/echo.ts')"],
    ['src/services/echo.ts', "type A = import('../server/registry.ts').A"],
    ['src/gateway/mapping.ts', "import { b } from './expose.ts'"],
    ['src/gateway/splice.ts', "import { a } from './mapping.ts'\nimport { b } from './expose.ts'"],
    ['src/config/load.ts', "import { a } from '../admin/server.ts'"],
    ['src/proto/common.ts', "import { a } from './node/node.ts'"],
    ['src/elsewhere/x.ts', "import { a } from '../base/types.ts'"],
    ['src/gateway/gateway.ts', "import { a } from '../../test/helper.ts'"],
    ['src/gateway/gateway.ts', "import { a } from './mapping.js'"],
  ]
  for (const [path, text] of bad) assert.notDeepEqual(checkLayers(new Map([[path, text]])), [], `${path}: ${text}`)
})

test('a right import is let through', () => {
  const good: [string, string][] = [
    ['src/proto/node/node.ts', "import { a } from '../tunnel/rekey.ts'\nimport { b } from '../../crypto/seal.ts'"],
    ['src/proto/stream/send.ts', "import type { Machine } from '../machine.ts'\n// from '../tunnel/rekey.ts'\nconst text = `from '../tunnel/rekey.ts'`"],
    ['src/gateway/gateway.ts', "import { a } from './mapping.ts'\nimport { b } from './expose.ts'"],
    ['src/cli/demo/demo.ts', "import { a } from '../../server/rendezvous.ts'"],
  ]
  for (const [path, text] of good) assert.deepEqual(checkLayers(new Map([[path, text]])), [], path)
})

test('a package in the core is seen', () => {
  const bad: [string, string][] = [
    ['src/base/types.ts', "import { x } from 'zod'"],
    ['src/wire/packet.ts', "import { Buffer } from 'node:buffer'"],
    ['src/proto/node/node.ts', "import { sha256 } from '@noble/hashes/sha2.js'"],
    ['src/crypto/identity.ts', "import { randomBytes } from 'node:crypto'"],
    ['src/crypto/identity.ts', "import { createHash, generateKeyPairSync as make } from 'node:crypto'"],
    ['src/crypto/identity.ts', "import * as crypto from 'node:crypto'"],
    ['src/crypto/identity.ts', "import { randomBytes } from '@noble/hashes/utils.js'"],
    ['src/crypto/identity.ts', "import { readFile } from 'node:fs'"],
    ['src/crypto/identity.ts', "const crypto = import('node:crypto')"],
  ]
  for (const [path, text] of bad) assert.notDeepEqual(checkPackages(new Map([[path, text]])), [], `${path}: ${text}`)
  assert.deepEqual(checkPackages(new Map([['src/crypto/seal.ts', "import { createCipheriv } from 'node:crypto'\nimport { gcm } from '@noble/ciphers/aes.js'"]])), [])
})

test('impurity is seen in code, and not in comments, strings or names that only resemble it', () => {
  for (const text of IMPURE_SAMPLES) assert.notDeepEqual(checkPurity(new Map([['src/proto/stream/send.ts', text]])), [], text)
  const innocent = [
    '// Date.now, await, console.log', "const text = 'Promise and setTimeout'", 'const t = `await ${now} async ${a ? `await ${b}` : c} async`', 'const half = a / b // async', 'const r = /process.exit/',
    'state.consoleLines = 1', 'processPacket()', 'const promised = 1', '/** async */',
  ]
  for (const text of innocent) assert.deepEqual(checkPurity(new Map([['src/wire/packet.ts', text]])), [], text)
  assert.deepEqual(checkPurity(new Map([['src/runtime/clock.ts', 'export const now = () => performance.now()']])), [], 'runtime is the world')
})

test('a cycle is seen, and printed as a path', () => {
  const ring = new Map([['src/wire/a.ts', "import './b.ts'"], ['src/wire/b.ts', "import type { C } from './c.ts'"], ['src/wire/c.ts', "import { a } from './a.ts'"]])
  assert.deepEqual(checkCycles(ring), ['src/wire/a.ts → src/wire/b.ts → src/wire/c.ts → src/wire/a.ts'])
  assert.deepEqual(checkCycles(new Map([['src/wire/a.ts', "import './b.ts'"], ['src/wire/b.ts', '']])), [])
})

test('a barrel, and an import of the public index, are seen', () => {
  assert.equal(checkIndex(new Map([['src/wire/all.ts', "export * from './packet.ts'"]])).length, 1)
  assert.equal(checkIndex(new Map([['src/cli/main.ts', "import { a } from '../index.ts'"]])).length, 1)
  assert.deepEqual(checkIndex(new Map([['src/index.ts', "export { a } from './gateway/gateway.ts'"]])), [])
})

test('a long file and a long function of every form are seen', () => {
  const body = 'x()\n'.repeat(60)
  const long = [
    `export function a (b: string): Promise<{ c (): void }> {\n${body}}`, `const a = (b) => {\n${body}}`, `class A {\n  async #b (c: { d: number } = {}): Promise<void> {\n${body}}\n}`,
    'const t = `a ${b ? `{ ${c}` : d} {`\nfunction e () {\n' + body + '}',
    `const a = function (b) {\n${body}}`, `class A {\n  get b (): { c: number } {\n${body}}\n}`,
  ]
  for (const text of long) assert.equal(checkSizes(new Map([['src/wire/a.ts', text]])).length, 1, text.slice(0, 40))
  const short = ['x()\n'.repeat(499), `const a = {\n${'b: 1,\n'.repeat(80)}}`, `if (a) {\n${body}}`, `class A {\n${body}}`]
  for (const text of short) assert.deepEqual(checkSizes(new Map([['src/wire/a.ts', text]])), [], text.slice(0, 40))
  assert.equal(checkSizes(new Map([['test/unit/a.test.ts', 'x()\n'.repeat(501)]])).length, 1)
})

test('a missing, empty or long README is seen', () => {
  assert.equal(checkReadmes(new Map([['src/wire/a.ts', '']])).length, 1)
  assert.equal(checkReadmes(new Map([['src/wire/a.ts', ''], ['src/wire/README.md', '']])).length, 1)
  assert.equal(checkReadmes(new Map([['src/wire/a.ts', ''], ['src/wire/README.md', 'x\n'.repeat(16)]])).length, 1)
  assert.deepEqual(checkReadmes(new Map([['src/wire/a.ts', ''], ['src/wire/README.md', 'x\n'.repeat(15)]])), [])
})

test('a code that docs and table do not share is seen', () => {
  const right = Object.entries(ERRORS).map(([code, { exit, http }]) => `| \`${code}\` | ${exit} | ${http} | … |`)
  assert.deepEqual(checkErrorDocs(right.join('\n')), [])
  assert.equal(checkErrorDocs(right.slice(1).join('\n')).length, 1)
  assert.equal(checkErrorDocs([...right, '| `NO_SUCH_CODE` | 1 | 500 | … |'].join('\n')).length, 1)
  assert.equal(checkErrorDocs(right.join('\n').replace('| 124 |', '| 12 |')).length, 1)
})

// ── The checkers ───────────────────────────────────────────────────────────────────────────────────────────────────

function passes (check: Checker): void {
  assert.deepEqual(check(tree), [])
}

function checkLayers (tree: Tree): string[] {
  return eachImport(tree, (from, specifier) => {
    if (!specifier.startsWith('.')) return undefined
    const to = posix.join(posix.dirname(from), specifier)
    if (!/\.(ts|json)$/.test(to)) return 'imports end in .ts'
    if (!to.startsWith('src/')) return 'src imports nothing outside of src'
    if (from === 'src/index.ts' || to === 'src/index.ts') return undefined // checkIndex
    const [a, b] = [layerOf(from), layerOf(to)]
    if (a === undefined || b === undefined) return `${a === undefined ? from : to} is in no known layer`
    if (a !== b && LAYERS[b]! >= LAYERS[a]!) return `${a} may not import ${b}`
    if (a === 'proto' && b === 'proto') return protoFault(from, to)
    return undefined
  }).concat(gatewayFaults(tree))
}

function protoFault (from: string, to: string): string | undefined {
  const [a, b] = [from, to].map((path) => path.split('/').length > 3 ? path.split('/')[2] : 'machine')
  if (b === 'machine' ? to === 'src/proto/machine.ts' : a === b || a === 'node') return undefined
  return `proto/${a} may not import ${to}; only proto/node sees its siblings`
}

function gatewayFaults (tree: Tree): string[] {
  const both = ['./mapping.ts', './expose.ts']
  const faults: string[] = []
  for (const [path, text] of tree) {
    if (!/^src\/gateway\/[^/]+\.ts$/.test(path) || path === 'src/gateway/gateway.ts') continue
    const known = importsOf(text).map((entry) => entry.specifier)
    const own = `./${posix.basename(path)}`
    if (both.every((file) => file === own || known.includes(file))) faults.push(`${path}: mapping and expose meet only in gateway.ts`)
  }
  return faults
}

function checkPackages (tree: Tree): string[] {
  return eachImport(tree, (from, specifier, clause) => {
    const layer = layerOf(from)
    if (layer === undefined || !CORE.has(layer) || specifier.startsWith('.')) return undefined
    if (layer !== 'crypto' || !(specifier === 'node:crypto' || specifier.startsWith('@noble/'))) return `${layer} may not import ${specifier}`
    if (!/^(type\s*)?\{[^}]*\}$/.test(clause)) return `import ${specifier} by name, so that this test sees what is used`
    return RANDOM_NAMES.test(clause) ? `${RANDOM_NAMES.exec(clause)![0]} draws randomness; it is handed in` : undefined
  })
}

function checkPurity (tree: Tree): string[] {
  const faults: string[] = []
  for (const [path, text] of tree) {
    if (!path.endsWith('.ts') || !CORE.has(layerOf(path) ?? '')) continue
    const { bare } = scan(text)
    bare.split('\n').forEach((line, index) => {
      for (const pattern of IMPURE) if (pattern.test(line)) faults.push(`${path}:${index + 1}: ${pattern.exec(line)![0].trim()} has no place in the core`)
    })
  }
  return faults
}

function checkCycles (tree: Tree): string[] {
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const seen = trail.indexOf(path)
    if (seen >= 0) cycles.push([...trail.slice(seen), path].join(' → '))
    if (seen >= 0 || done.has(path) || !tree.has(path)) return
    const next = importsOf(tree.get(path)!).filter(({ specifier }) => specifier.startsWith('.'))
    for (const { specifier } of next) visit(posix.join(posix.dirname(path), specifier), [...trail, path])
    done.add(path)
  }
  for (const path of tree.keys()) if (path.startsWith('src/') && path.endsWith('.ts')) visit(path, [])
  return cycles
}

function checkIndex (tree: Tree): string[] {
  return eachImport(tree, (from, specifier, _clause, keyword) => {
    if (from !== 'src/index.ts' && keyword === 'export') return 're-exports; only src/index.ts does'
    if (posix.join(posix.dirname(from), specifier) === 'src/index.ts') return 'imports the public index; import the file that has the thing'
    return undefined
  })
}

function checkSizes (tree: Tree): string[] {
  const faults: string[] = []
  for (const [path, text] of tree) {
    if (!path.endsWith('.ts')) continue
    const lines = text.replace(/\n$/, '').split('\n').length
    if (lines > MAX_FILE_LINES) faults.push(`${path} has ${lines} lines; ${MAX_FILE_LINES} are the most`)
    for (const { line, length } of functionsOf(text)) {
      if (length > MAX_FUNCTION_LINES) faults.push(`${path}:${line}: a function of ${length} lines; ${MAX_FUNCTION_LINES} are the most`)
    }
  }
  return faults
}

function checkReadmes (tree: Tree): string[] {
  const folders = new Set([...tree.keys()].filter((path) => /^src\/.*\.ts$/.test(path)).map((path) => posix.dirname(path)))
  folders.delete('src')
  return [...folders].flatMap((folder) => {
    const text = tree.get(`${folder}/README.md`)?.trim()
    if (text === undefined || text === '') return [`${folder} has no README.md`]
    const lines = text.split('\n').length
    return lines > MAX_README_LINES ? [`${folder}/README.md has ${lines} lines; ${MAX_README_LINES} are the most`] : []
  })
}

function checkErrorDocs (text: string): string[] {
  const faults: string[] = []
  const documented = new Map([...text.matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (\d+) \|/gm)].map((row) => [row[1]!, `${row[2]}/${row[3]}`]))
  for (const [code, { exit, http }] of Object.entries(ERRORS)) {
    const found = documented.get(code)
    if (found !== `${exit}/${http}`) faults.push(`${code}: docs/errors.md has ${found ?? 'nothing'}, the table ${exit}/${http}`)
  }
  for (const code of documented.keys()) if (!(code in ERRORS)) faults.push(`${code} is in docs/errors.md only`)
  return faults
}

// ── What a source file says ────────────────────────────────────────────────────────────────────────────────────────

interface Import { readonly specifier: string, readonly clause: string, readonly keyword: string }

function eachImport (tree: Tree, judge: (from: string, specifier: string, clause: string, keyword: string) => string | undefined): string[] {
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
function importsOf (text: string): Import[] {
  const { code, bare } = scan(text)
  const found: Import[] = []
  for (const match of code.matchAll(/\b(from|import)\b\s*\(?\s*(['"])([^'"\n]+)\2/g)) {
    if (!bare.startsWith(match[1]!, match.index)) continue
    const before = bare.slice(0, match.index)
    const start = match[1] === 'from' ? Math.max(before.lastIndexOf('import'), before.lastIndexOf('export')) : match.index
    const keyword = bare.slice(start, start + 6)
    found.push({ specifier: match[3]!, clause: match[1] === 'from' ? bare.slice(start + 6, match.index).trim() : '', keyword })
  }
  return found
}

/** Every function body: after `=>`, or after a parameter list that a keyword like `if` does not own. */
function functionsOf (text: string): { line: number, length: number }[] {
  const { bare } = scan(text)
  const found: { line: number, length: number }[] = []
  const heads = /=>\s*\{|\bfunction\b[^(]*\(|^[ \t]*(?:(?:static|async|get|set|override|private|public|protected)\s+|\*)*(?!(?:if|for|while|switch|catch|with|return|await|function)\b)[#\w]+\s*(?:<[^(]*>)?\s*\(/gm
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
function bodyAfter (bare: string, at: number): number | undefined {
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
function closing (bare: string, open: number): number {
  const [up, down] = [bare[open]!, { '(': ')', '{': '}', '[': ']', '<': '>' }[bare[open]!]!]
  let depth = 0
  for (let index = open; index < bare.length; index++) {
    if (bare[index] === up) depth++
    else if (bare[index] === down && bare[index - 1] !== '=' && --depth === 0) return index
  }
  return bare.length
}

function lineOf (text: string, at: number): number {
  return text.slice(0, at).split('\n').length
}

/** `code`: comments blanked. `bare`: comments and the inside of strings, templates (but `${code}`) and regular expressions blanked. */
function scan (text: string): { code: string, bare: string } {
  let [code, bare] = ['', '']
  const templates: number[] = [] // for each `${` we are in: braces open inside it
  for (let at = 0; at < text.length;) {
    const closesHole = text[at] === '}' && templates.at(-1) === 0
    TOKEN.lastIndex = at
    const part = closesHole || text[at] === '`' ? templatePart(text, at) : TOKEN.exec(text)?.[0] ?? text[at]!
    const isRegex = /^\/[^/*]/.test(part)
    const isComment = /^\/[/*]/.test(part)
    const taken = isRegex && !/(^|[(,=:[!&|?{};+>]|\breturn)\s*$/.test(bare) ? '/' : part // a division
    if (closesHole) templates.pop()
    else if (templates.length > 0 && /^[{}]$/.test(taken)) templates[templates.length - 1]! += taken === '{' ? 1 : -1
    const isTemplate = closesHole || taken[0] === '`'
    if (isTemplate && taken.endsWith('${')) templates.push(0)
    code += isComment ? blank(taken) : taken
    bare += isComment ? blank(taken) : /^['"`/}]./s.test(taken) ? taken[0] + blank(taken.slice(1, taken.endsWith('${') ? -2 : -1)) + taken.slice(taken.endsWith('${') ? -2 : -1) : taken
    at += taken.length
  }
  return { code, bare }
}

/** From a backtick, or the brace that ends a hole, to the next hole or the end of the template. */
function templatePart (text: string, at: number): string {
  TEMPLATE_TEXT.lastIndex = at + 1
  return text[at]! + (TEMPLATE_TEXT.exec(text)?.[0] ?? '')
}

function blank (text: string): string {
  return text.replace(/[^\n]/g, ' ')
}

function layerOf (path: string): string | undefined {
  const layer = path.split('/')[1]!
  return layer in LAYERS ? layer : undefined
}

function readTree (folder: string): [string, string][] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|md)$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .map((path) => [path, readFileSync(join(ROOT, path), 'utf8')])
}

/** A layer imports those with a smaller number, and itself; equal numbers ignore each other. */
const LAYERS: Readonly<Record<string, number>> = {
  base: 0, wire: 1, crypto: 1, proto: 2, runtime: 3, server: 4, services: 4, gateway: 5, config: 6, admin: 7, observe: 8, cli: 9, api: 9,
}
const CORE: ReadonlySet<string> = new Set(['base', 'wire', 'crypto', 'proto'])
const MAX_FILE_LINES = 500
const MAX_FUNCTION_LINES = 60
const MAX_README_LINES = 15

const TOKEN = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y
const TEMPLATE_TEXT = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/y
const RANDOM_NAMES = /\b(random\w*|generate\w*|getRandomValues|webcrypto)\b/
const IMPURE: readonly RegExp[] = [
  /\bDate\.(now|parse)\b|\bnew Date\b/, /\bperformance\./, /\bMath\.random\b/, /\bset(Timeout|Interval|Immediate)\b/, /\bqueueMicrotask\b/,
  /(?<![\w.#])process\s*\??[.[]/, /(?<![\w.#])console\s*\??[.[]/, /(?<![\w.#])globalThis\b/, /\basync\b/, /\bPromise\b/, /\bawait\b/,
  /\bgetRandomValues\b/, /\.random(SecretKey|PrivateKey)\b/, /\bBuffer\b/, /\bfetch\s*\(/, /\bimport\s*\(\s*[^'"\s]/,
]
const IMPURE_SAMPLES: readonly string[] = [
  'const now = Date.now()', 'new Date()', 'performance.now()', 'Math.random()', 'setTimeout(f, 1)', 'setInterval(f, 1)', 'setImmediate(f)', 'queueMicrotask(f)',
  'process.exit(1)', 'process?.env', "console.log('x')", 'globalThis.setTimeout', 'async function a () {}', 'let p: Promise<void>', 'await x', 'crypto.getRandomValues(a)',
  'ed25519.utils.randomSecretKey()', 'Buffer.from(x)', 'fetch(url)', 'import(name)', 'const text = `at ${Date.now()}`', 'const text = `a${b ? `c` : await d}`',
]
