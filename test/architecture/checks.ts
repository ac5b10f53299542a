/**
 * The boundaries of CONTRIBUTING.md as pure functions over a set of files. Each returns its findings, one line per
 * fault; architecture.test.ts runs them over the checkout and gives each a bad example.
 */
import { posix } from 'node:path'
import { ERRORS } from '../../src/base/errors.ts'
import type { Tree } from './source.ts'
import { eachImport, functionsOf, importsOf, lineOf, scan } from './source.ts'

export type Checker = (tree: Tree) => string[]

export function checkLayers(tree: Tree): string[] {
  return eachImport(tree, (from, specifier) => {
    if (!specifier.startsWith('.')) return undefined
    const to = posix.join(posix.dirname(from), specifier)
    if (!/\.(ts|json)$/.test(to)) return 'imports end in .ts'
    if (!to.startsWith('src/')) return 'src imports nothing outside of src'
    if (from === 'src/index.ts' || to === 'src/index.ts') return undefined // checkIndex
    const [a, b] = [layerOf(from), layerOf(to)]
    if (a === undefined || b === undefined) return `${a === undefined ? from : to} is in no known layer`
    if (a !== b && LAYERS[b]! >= LAYERS[a]!) return `${a} may not import ${b}`
    return a === b ? roomFault(a, from, to) : sealFault(from, to)
  })
}

/** Rooms: the folders inside a layer, and which of their neighbours they may import. */
function roomFault(layer: string, from: string, to: string): string | undefined {
  const rooms = ROOMS[layer]
  if (rooms === undefined) return undefined
  const [a, b] = [roomOf(from), roomOf(to)]
  if (a === b) return undefined
  const allowed = rooms[a]
  if (allowed === undefined) return `${layer}/${a} is in no known room: add it to ROOMS with what it may import`
  if (allowed === 'all' || allowed.includes(b)) return undefined
  return `${layer}/${a} may import ${allowed.join(', ') || 'no other room'}, not ${b}; ${layer}/README.md has the plan`
}

/** The core shows queries and commands: what it consists of is its own. */
function sealFault(from: string, to: string): string | undefined {
  if (!to.startsWith(CORE_FOLDER) || CORE_FACE.has(to.slice(CORE_FOLDER.length))) return undefined
  return `${from} may not import ${to}: above the core only ${[...CORE_FACE].join(', ')}`
}

/** The folder below the layer, '.' for files that lie in the layer itself. */
function roomOf(path: string): string {
  const [, , room, ...rest] = path.split('/')
  return rest.length === 0 ? '.' : room!
}

export function checkPackages(tree: Tree): string[] {
  return eachImport(tree, (from, specifier, clause) => {
    const layer = layerOf(from)
    if (layer === undefined || !CORE.has(layer) || specifier.startsWith('.')) return undefined
    if (layer !== 'crypto' || !(specifier === 'node:crypto' || specifier.startsWith('@noble/')))
      return `${layer} may not import ${specifier}`
    if (!/^(type\s*)?\{[^}]*\}$/.test(clause)) return `import ${specifier} by name, so that this test sees what is used`
    return RANDOM_NAMES.test(clause) ? `${RANDOM_NAMES.exec(clause)![0]} draws randomness; it is handed in` : undefined
  })
}

export function checkPurity(tree: Tree): string[] {
  const faults: string[] = []
  for (const [path, text] of tree) {
    if (!path.endsWith('.ts') || !CORE.has(layerOf(path) ?? '')) continue
    const { bare } = scan(text)
    bare.split('\n').forEach((line, index) => {
      for (const pattern of IMPURE)
        if (pattern.test(line))
          faults.push(`${path}:${index + 1}: ${pattern.exec(line)![0].trim()} has no place in the core`)
    })
  }
  return faults
}

/** Calls that throw for what someone else did, made in callbacks: only where they are guarded. */
export function checkThrowing(tree: Tree): string[] {
  const faults: string[] = []
  for (const [path, text] of tree) {
    if (!path.startsWith('src/') || !path.endsWith('.ts')) continue
    const { bare } = scan(text)
    for (const { calls, within, only, instead } of THROWING) {
      if (!path.startsWith(within) || path === only) continue
      for (const match of bare.matchAll(calls))
        faults.push(`${path}:${lineOf(bare, match.index)}: ${match[0].trim()} throws in a callback; ${instead}`)
    }
  }
  return faults
}

export function checkCycles(tree: Tree): string[] {
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

/**
 * What `pilotgate --version` reads before it answers: no package but the parser of the command line. Everything else is
 * imported by the command that needs it, when it runs.
 */
export function checkLazy(tree: Tree): string[] {
  const seen = new Map([...LOADED_AT_ONCE].map((path) => [path, path]))
  const faults: string[] = []
  for (const [path, trail] of seen)
    for (const { specifier, clause } of importsOf(tree.get(path) ?? '')) {
      if (clause === '' || /^type\b/.test(clause)) continue // import() and types
      const next = posix.join(posix.dirname(path), specifier)
      if (!specifier.startsWith('.')) {
        if (!/^(node:|commander$)/.test(specifier)) faults.push(`${trail} → ${specifier}`)
      } else if (!seen.has(next)) seen.set(next, `${trail} → ${next}`)
    }
  return faults
}

const LOADED_AT_ONCE = ['src/cli/main.ts', 'src/cli/program.ts', 'src/cli/world.ts', 'src/cli/faults.ts']

/** A field without an initialiser is still set, to undefined: below one whose initialiser assigns it, it wipes that. */
export function checkWipedFields(tree: Tree): string[] {
  const faults: string[] = []
  for (const [path, text] of tree) {
    if (!path.startsWith('src/') || !path.endsWith('.ts')) continue
    const { bare } = scan(text)
    for (const { 0: found, 1: name, index } of bare.matchAll(/^ {2}(?:readonly )?(#?\w+)!?: (?:[^=;\n]|=>)+$/gm)) {
      const start = Math.max(0, ...['\nclass ', '\nexport class '].map((word) => bare.lastIndexOf(word, index)))
      const before = bare.slice(start, index)
      if (before.includes(`this.${name} =`)) faults.push(`${path}: ${found.trim()} wipes what is assigned above it`)
    }
  }
  return faults
}

export function checkIndex(tree: Tree): string[] {
  return eachImport(tree, (from, specifier, _clause, keyword) => {
    if (from !== 'src/index.ts' && keyword === 'export') return 're-exports; only src/index.ts does'
    if (posix.join(posix.dirname(from), specifier) === 'src/index.ts')
      return 'imports the public index; import the file that has the thing'
    return undefined
  })
}

export function checkSizes(tree: Tree, known: Readonly<Record<string, number>> = {}): string[] {
  const faults: string[] = []
  const judge = (key: string, where: string, what: string, lines: number, most: number): void => {
    const allowed = known[key] ?? most
    if (lines > allowed) faults.push(`${where}: ${what} of ${lines} lines; ${allowed} are the most`)
    if (key in known && lines <= most) faults.push(`${key} keeps to the limit now: take it off the list`)
  }
  for (const [path, text] of tree) {
    if (!path.endsWith('.ts')) continue
    judge(path, path, 'a file', text.replace(/\n$/, '').split('\n').length, MAX_FILE_LINES)
    const longest = functionsOf(text).sort((a, b) => b.length - a.length)[0]
    if (longest === undefined) continue
    judge(`${path}()`, `${path}:${longest.line}`, 'a function', longest.length, MAX_FUNCTION_LINES)
  }
  for (const key of Object.keys(known))
    if (!tree.has(key.replace('()', ''))) faults.push(`${key} is gone: take it off the list`)
  return faults
}

export function checkReadmes(tree: Tree): string[] {
  const folders = new Set(
    [...tree.keys()].filter((path) => /^src\/.*\.ts$/.test(path)).map((path) => posix.dirname(path)),
  )
  folders.delete('src')
  return [...folders].flatMap((folder) => {
    const text = tree.get(`${folder}/README.md`)?.trim()
    if (text === undefined || text === '') return [`${folder} has no README.md`]
    const lines = text.split('\n').length
    return lines > MAX_README_LINES ? [`${folder}/README.md has ${lines} lines; ${MAX_README_LINES} are the most`] : []
  })
}

export function checkErrorDocs(text: string): string[] {
  const faults: string[] = []
  const documented = new Map(
    [...text.matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (\d+) \|/gm)].map((row) => [row[1]!, `${row[2]}/${row[3]}`]),
  )
  for (const [code, { exit, http }] of Object.entries(ERRORS)) {
    const found = documented.get(code)
    if (found !== `${exit}/${http}`)
      faults.push(`${code}: docs/errors.md has ${found ?? 'nothing'}, the table ${exit}/${http}`)
  }
  for (const code of documented.keys()) if (!(code in ERRORS)) faults.push(`${code} is in docs/errors.md only`)
  return faults
}

function layerOf(path: string): string | undefined {
  const layer = path.split('/')[1]!
  return layer in LAYERS ? layer : undefined
}

const CORE_FOLDER = 'src/proto/node/'
/** What of the core the layers above may import. */
const CORE_FACE: ReadonlySet<string> = new Set([
  'constants.ts',
  'core.ts',
  'datagram-slot.ts',
  'dial.ts',
  'drain.ts',
  'events.ts',
  'options.ts',
  'trust-exchange.ts',
  'views.ts',
])

/** A layer imports those with a smaller number, and itself; equal numbers ignore each other. */
const LAYERS: Readonly<Record<string, number>> = {
  base: 0,
  wire: 1,
  crypto: 1,
  proto: 2,
  runtime: 3,
  server: 4,
  services: 4,
  gateway: 5,
  config: 6,
  admin: 7,
  observe: 8,
  cli: 9,
  api: 9,
}
/** 'all': composes the layer. The room '.' is the files in the layer's own folder. */
const ROOMS: Readonly<Record<string, Readonly<Record<string, 'all' | readonly string[]>>>> = {
  proto: {
    '.': [],
    stream: ['.'],
    tunnel: ['.'],
    path: ['.'],
    rendezvous: ['.'],
    trust: ['.'],
    driver: ['.'], // of a client of our socket; no part of the node
    messages: [],
    events: [],
    node: 'all', // the only room that sees its siblings
  },
  runtime: {
    '.': [],
    v8: [],
    files: ['.'],
    net: ['.', 'v8'],
    native: ['net', 'v8'],
    daemon: ['.'], // a product of its own behind overlay.ts: may be deleted whole
    node: ['.', 'files', 'net', 'native'],
    'driver-socket': ['.', 'files', 'node'], // for drivers, our node is a daemon
  },
  gateway: {
    '.': 'all',
    model: [],
    service: ['model'],
    udp: ['model', 'service'],
    map: ['model', 'service', 'udp', 'http'], // never expose: what both need lies in service
    expose: ['model', 'service', 'udp', 'http', 'folder'],
    folder: ['model', 'http'],
    http: ['model', 'service'],
    fronts: ['model', 'service', 'udp', 'http'],
    tickets: ['model', 'service'],
    diagnose: ['model'],
  },
}
/** A throw inside an event handler, timer or callback has no caller who could catch it: it reaches the process. */
const THROWING: readonly {
  readonly calls: RegExp
  readonly within: string
  readonly only: string
  readonly instead: string
}[] = [
  {
    calls:
      /\.(respond|additionalHeaders|sendTrailers|setLocalWindowSize|writeEarlyHints|detachSocket)\(|\bperformServerHandshake\(/g,
    within: 'src/gateway/http/',
    only: 'src/gateway/http/guarded.ts',
    instead: 'call it through gateway/http/guarded.ts',
  },
  {
    calls: /\bnetworkInterfaces\(/g, // EMFILE, EACCES: no descriptor is free, or a sandbox forbids it
    within: 'src/',
    only: 'src/runtime/net/interfaces.ts',
    instead: 'call it through runtime/net/interfaces.ts',
  },
]
const CORE: ReadonlySet<string> = new Set(['base', 'wire', 'crypto', 'proto'])
const MAX_FILE_LINES = 500
const MAX_FUNCTION_LINES = 60
const MAX_README_LINES = 15

const RANDOM_NAMES = /\b(random\w*|generate\w*|getRandomValues|webcrypto)\b/
const IMPURE: readonly RegExp[] = [
  /\bDate\.(now|parse)\b|\bnew Date\b/,
  /\bperformance\./,
  /\bMath\.random\b/,
  /\bset(Timeout|Interval|Immediate)\b/,
  /\bqueueMicrotask\b/,
  /(?<![\w.#])process\s*\??[.[]/,
  /(?<![\w.#])console\s*\??[.[]/,
  /(?<![\w.#])globalThis\b/,
  /\basync\b/,
  /\bPromise\b/,
  /\bawait\b/,
  /\bgetRandomValues\b/,
  /\.random(SecretKey|PrivateKey)\b/,
  /\bBuffer\b/,
  /\bfetch\s*\(/,
  /\bimport\s*\(\s*[^'"\s]/,
]
