/**
 * The boundaries of CONTRIBUTING.md as tests: which files import which, what the core may not touch, sizes, READMEs,
 * and that the error table and docs/errors.md agree. Every checker is a pure function over a set of files, and each is
 * also run on a bad example: a check must not pass because there was nothing to check.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ERRORS } from '../src/base/errors.ts'
import type { Checker } from './architecture/checks.ts'
import {
  checkCycles,
  checkErrorDocs,
  checkIndex,
  checkLayers,
  checkLazy,
  checkPackages,
  checkPurity,
  checkReadmes,
  checkSizes,
  checkThrowing,
  checkWipedFields,
} from './architecture/checks.ts'
import { importsOf, readTree, ROOT } from './architecture/source.ts'

// ── The checkout passes ────────────────────────────────────────────────────────────────────────────────────────────

const tree = new Map([...readTree('src'), ...readTree('test'), ...readTree('bench')])

test('the checkout is really read', () => {
  const sources = [...tree.keys()].filter((path) => path.startsWith('src/') && path.endsWith('.ts'))
  assert.ok(sources.length > 10, `only ${sources.length} files found below src`)
  assert.ok(
    sources.some((path) => importsOf(tree.get(path)!).length > 0),
    'no import found in any file',
  )
  assert.ok(tree.has('test/architecture.test.ts'))
})

test('imports go downwards only, and neighbours ignore each other', () => passes(checkLayers))
test('the core imports no package and no part of Node, crypto/ only its primitives', () => passes(checkPackages))
test('the core reads no clock, draws no randomness, holds no timer and waits for nothing', () => passes(checkPurity))
test('calls that throw in callbacks are made where they are guarded', () => passes(checkThrowing))
test('no file imports itself through others', () => passes(checkCycles))
test('only src/index.ts re-exports, and nothing imports it', () => passes(checkIndex))
test('a command loads no package before it runs, except the parser of the command line', () => passes(checkLazy))
test('no field is declared below an initialiser that assigns it', () => passes(checkWipedFields))
test('no file is longer than 500 lines and no function longer than 60', () => {
  assert.deepEqual(checkSizes(tree, KNOWN_SIZES), [])
})
test('every folder of src has a README.md of at most 15 lines', () => passes(checkReadmes))
test('docs/errors.md lists every error code with its exit and HTTP status, and no other', () => {
  assert.deepEqual(checkErrorDocs(readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')), [])
})

// ── Each checker objects to something bad ──────────────────────────────────────────────────────────────────────────

test('a wrong import is found, however it is written', () => {
  const bad: [string, string][] = [
    ['src/base/types.ts', "import { a } from '../wire/packet.ts'"],
    ['src/wire/packet.ts', "import type { A } from '../crypto/seal.ts'"],
    ['src/crypto/seal.ts', "export { a } from '../wire/packet.ts'"],
    ['src/proto/stream/send.ts', "import {\n  a,\n} from '../tunnel/rekey.ts'"],
    ['src/proto/machine.ts', "import '../runtime/driver.ts'"],
    ['src/server/registry.ts', "const a = await import('../services/echo.ts')"],
    ['src/services/echo.ts', "type A = import('../server/registry.ts').A"],
    ['src/gateway/map/tcp.ts', "import { b } from '../expose/tcp.ts'"],
    ['src/gateway/service/splice.ts', "import { a } from '../map/tcp.ts'"],
    ['src/gateway/attic/x.ts', "import { a } from '../model/records.ts'"],
    ['src/config/load.ts', "import { a } from '../admin/server.ts'"],
    ['src/proto/common.ts', "import { a } from './node/node.ts'"],
    ['src/runtime/node/driver.ts', "import { NodeState } from '../../proto/node/state.ts'"],
    ['src/runtime/node/report.ts', "import type { Peer } from '../../proto/node/peer.ts'"],
    ['src/elsewhere/x.ts', "import { a } from '../base/types.ts'"],
    ['src/gateway/gateway.ts', "import { a } from '../../test/helper.ts'"],
    ['src/gateway/gateway.ts', "import { a } from './map/tcp.js'"],
  ]
  for (const [path, text] of bad) assert.notDeepEqual(checkLayers(new Map([[path, text]])), [], `${path}: ${text}`)
})

test('a valid import passes', () => {
  const good: [string, string][] = [
    ['src/proto/node/core.ts', "import { a } from '../tunnel/rekey.ts'\nimport { b } from '../../crypto/seal.ts'"],
    [
      'src/proto/stream/send.ts',
      "import type { Machine } from '../machine.ts'\n// from '../tunnel/rekey.ts'\nconst text = `from '../tunnel/rekey.ts'`",
    ],
    ['src/runtime/node/driver.ts', "import { drain } from '../../proto/node/drain.ts'"],
    ['src/gateway/gateway.ts', "import { a } from './map/tcp.ts'\nimport { b } from './expose/tcp.ts'"],
    ['src/cli/demo/demo.ts', "import { a } from '../../server/rendezvous.ts'"],
  ]
  for (const [path, text] of good) assert.deepEqual(checkLayers(new Map([[path, text]])), [], path)
})

test('a package in the core is found', () => {
  const bad: [string, string][] = [
    ['src/base/types.ts', "import { x } from 'zod'"],
    ['src/wire/packet.ts', "import { Buffer } from 'node:buffer'"],
    ['src/proto/node/core.ts', "import { sha256 } from '@noble/hashes/sha2.js'"],
    ['src/crypto/identity.ts', "import { randomBytes } from 'node:crypto'"],
    ['src/crypto/identity.ts', "import { createHash, generateKeyPairSync as make } from 'node:crypto'"],
    ['src/crypto/identity.ts', "import * as crypto from 'node:crypto'"],
    ['src/crypto/identity.ts', "import { randomBytes } from '@noble/hashes/utils.js'"],
    ['src/crypto/identity.ts', "import { readFile } from 'node:fs'"],
    ['src/crypto/identity.ts', "const crypto = import('node:crypto')"],
  ]
  for (const [path, text] of bad) assert.notDeepEqual(checkPackages(new Map([[path, text]])), [], `${path}: ${text}`)
  assert.deepEqual(
    checkPackages(
      new Map([
        [
          'src/crypto/seal.ts',
          "import { createCipheriv } from 'node:crypto'\nimport { gcm } from '@noble/ciphers/aes.js'",
        ],
      ]),
    ),
    [],
  )
})

test('impurity is seen in code, and not in comments, strings or names that only resemble it', () => {
  for (const text of IMPURE_SAMPLES)
    assert.notDeepEqual(checkPurity(new Map([['src/proto/stream/send.ts', text]])), [], text)
  const innocent = [
    '// Date.now, await, console.log',
    "const text = 'Promise and setTimeout'",
    'const t = `await ${now} async ${a ? `await ${b}` : c} async`',
    'const half = a / b // async',
    'const r = /process.exit/',
    'state.consoleLines = 1',
    'processPacket()',
    'const promised = 1',
    '/** async */',
  ]
  for (const text of innocent) assert.deepEqual(checkPurity(new Map([['src/wire/packet.ts', text]])), [], text)
  assert.deepEqual(
    checkPurity(new Map([['src/runtime/clock.ts', 'export const now = () => performance.now()']])),
    [],
    'runtime is the world',
  )
})

test('an unguarded call that throws is found, and one in a comment or a string is not', () => {
  const bad = [
    'stream.respond({})',
    'a.sendTrailers({})',
    'const all = networkInterfaces()',
    'performServerHandshake(s)',
  ]
  for (const text of bad) assert.equal(checkThrowing(new Map([['src/gateway/http/x.ts', text]])).length, 1, text)
  const good = ['// stream.respond({})', "const text = '.respond('", 'respond({})', 'import { networkInterfaces } from']
  for (const text of good) assert.deepEqual(checkThrowing(new Map([['src/gateway/http/x.ts', text]])), [], text)
  assert.deepEqual(checkThrowing(new Map([['src/gateway/http/guarded.ts', bad[0]!]])), [])
})

test('a cycle is seen, and printed as a path', () => {
  const ring = new Map([
    ['src/wire/a.ts', "import './b.ts'"],
    ['src/wire/b.ts', "import type { C } from './c.ts'"],
    ['src/wire/c.ts', "import { a } from './a.ts'"],
  ])
  assert.deepEqual(checkCycles(ring), ['src/wire/a.ts → src/wire/b.ts → src/wire/c.ts → src/wire/a.ts'])
  assert.deepEqual(
    checkCycles(
      new Map([
        ['src/wire/a.ts', "import './b.ts'"],
        ['src/wire/b.ts', ''],
      ]),
    ),
    [],
  )
})

test('a package loaded by every command is found, however far away', () => {
  const far = new Map([
    ['src/cli/program.ts', "import { addUp } from './commands/up.ts'\nimport { Command } from 'commander'"],
    ['src/cli/commands/up.ts', "import type { Schema } from 'zod'\nimport { a } from '../serve.ts'"],
    ['src/cli/serve.ts', "import { b, type C } from '../config/load.ts'"],
    ['src/config/load.ts', "import { parse } from 'yaml'\nconst { z } = await import('zod')"],
  ])
  assert.deepEqual(checkLazy(far), [
    'src/cli/program.ts → src/cli/commands/up.ts → src/cli/serve.ts → src/config/load.ts → yaml',
  ])
})

test('a field that wipes an earlier assignment is found, and one that is assigned later is not', () => {
  const wiped =
    'class Running {\n  readonly asked = new Promise((done) => {\n    this.ask = done\n  })\n  ask!: () => void\n}'
  assert.equal(checkWipedFields(new Map([['src/cli/demo/demo.ts', wiped]])).length, 1)
  const fine =
    'class Running {\n  #ipc!: string\n  constructor() {\n    this.#ipc = 1\n  }\n}\nclass Other {\n  #ipc: string\n}'
  assert.deepEqual(checkWipedFields(new Map([['src/cli/demo/demo.ts', fine]])), [])
})

test('a barrel and an import of the public index are found', () => {
  assert.equal(checkIndex(new Map([['src/wire/all.ts', "export * from './packet.ts'"]])).length, 1)
  assert.equal(checkIndex(new Map([['src/cli/main.ts', "import { a } from '../index.ts'"]])).length, 1)
  assert.deepEqual(checkIndex(new Map([['src/index.ts', "export { a } from './gateway/gateway.ts'"]])), [])
})

test('a long file and a long function of every form are found', () => {
  const body = 'x()\n'.repeat(60)
  const long = [
    `export function a (b: string): Promise<{ c (): void }> {\n${body}}`,
    `const a = (b) => {\n${body}}`,
    `class A {\n  async #b (c: { d: number } = {}): Promise<void> {\n${body}}\n}`,
    'const t = `a ${b ? `{ ${c}` : d} {`\nfunction e () {\n' + body + '}',
    `const a = function (b) {\n${body}}`,
    `class A {\n  get b (): { c: number } {\n${body}}\n}`,
  ]
  for (const text of long) assert.equal(checkSizes(new Map([['src/wire/a.ts', text]])).length, 1, text.slice(0, 40))
  const short = [
    'x()\n'.repeat(499),
    `const a = {\n${'b: 1,\n'.repeat(80)}}`,
    `if (a) {\n${body}}`,
    `class A {\n${body}}`,
  ]
  for (const text of short) assert.deepEqual(checkSizes(new Map([['src/wire/a.ts', text]])), [], text.slice(0, 40))
  assert.equal(checkSizes(new Map([['test/unit/a.test.ts', 'x()\n'.repeat(501)]])).length, 1)
})

test('a missing, empty or long README is found', () => {
  assert.equal(checkReadmes(new Map([['src/wire/a.ts', '']])).length, 1)
  assert.equal(
    checkReadmes(
      new Map([
        ['src/wire/a.ts', ''],
        ['src/wire/README.md', ''],
      ]),
    ).length,
    1,
  )
  assert.equal(
    checkReadmes(
      new Map([
        ['src/wire/a.ts', ''],
        ['src/wire/README.md', 'x\n'.repeat(16)],
      ]),
    ).length,
    1,
  )
  assert.deepEqual(
    checkReadmes(
      new Map([
        ['src/wire/a.ts', ''],
        ['src/wire/README.md', 'x\n'.repeat(15)],
      ]),
    ),
    [],
  )
})

test('a code missing from the docs or the table is found', () => {
  const right = Object.entries(ERRORS).map(([code, { exit, http }]) => `| \`${code}\` | ${exit} | ${http} | … |`)
  assert.deepEqual(checkErrorDocs(right.join('\n')), [])
  assert.equal(checkErrorDocs(right.slice(1).join('\n')).length, 1)
  assert.equal(checkErrorDocs([...right, '| `NO_SUCH_CODE` | 1 | 500 | … |'].join('\n')).length, 1)
  assert.equal(checkErrorDocs(right.join('\n').replace('| 124 |', '| 12 |')).length, 1)
})

/** What was longer when the formatter came; the list only gets shorter. */
const KNOWN_SIZES: Readonly<Record<string, number>> = {
  'test/e2e/balance.test.ts()': 68,
  'test/e2e/http-grpc.test.ts': 523,
  'test/e2e/http-hostile.test.ts()': 75,
  'test/e2e/lifecycle.test.ts()': 76,
  'test/e2e/ssh-nats.test.ts()': 80,
  'test/go-shaped/node.ts': 537,
  'test/interop/registry-conversation.ts': 694,
  'test/interop/registry-conversation.ts()': 83,
  'test/unit/admin/control.ts()': 78,
  'test/unit/config/live.test.ts()': 86,
  'test/unit/cli/up.test.ts()': 68,
  'test/unit/gateway/model/specs.test.ts()': 62,
}

function passes(check: Checker): void {
  assert.deepEqual(check(tree), [])
}

const IMPURE_SAMPLES: readonly string[] = [
  'const now = Date.now()',
  'new Date()',
  'performance.now()',
  'Math.random()',
  'setTimeout(f, 1)',
  'setInterval(f, 1)',
  'setImmediate(f)',
  'queueMicrotask(f)',
  'process.exit(1)',
  'process?.env',
  "console.log('x')",
  'globalThis.setTimeout',
  'async function a () {}',
  'let p: Promise<void>',
  'await x',
  'crypto.getRandomValues(a)',
  'ed25519.utils.randomSecretKey()',
  'Buffer.from(x)',
  'fetch(url)',
  'import(name)',
  'const text = `at ${Date.now()}`',
  'const text = `a${b ? `c` : await d}`',
]
