/**
 * Shared by the project scripts: check for staleness, install, build, run a program with a time limit.
 * Plain Node, no dependencies: these run before anything is installed. npm's own pre/post hooks are off
 * (`ignore-scripts=true` in .npmrc), hence scripts that do by themselves what is missing.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')

/** A failure fully explained by its message; anything else is our own bug and shows its stack. */
export class ScriptError extends Error {}

/** Runs the body of a script; its failure is one line and exit code 1. */
export async function script(body) {
  try {
    process.exitCode = (await body()) ?? 0
  } catch (error) {
    console.error(error instanceof ScriptError ? `error: ${error.message}` : error)
    process.exitCode = 1
  }
}

/** Installs the locked dependencies if node_modules is missing or does not match package-lock.json. */
export async function install() {
  if (!installIsStale()) return
  console.error('installing dependencies (npm ci) …')
  // stdout belongs to whoever called us (npm start -- --json): npm's chatter goes to stderr.
  await mustRun('npm', ['ci', '--no-audit', '--no-fund'], { timeoutMs: 600_000, stdout: 2 })
  linkProgram()
}

/**
 * `npx pilotgate` in the checkout. npx would link the package into a cache of its own, once: when that happens before
 * the first build it stays broken for ever.
 */
export function linkProgram(root = ROOT) {
  if (process.platform === 'win32') return
  const link = join(root, 'node_modules/.bin/pilotgate')
  rmSync(link, { force: true })
  symlinkSync('../../dist/cli/main.js', link)
}

/** Builds if dist is missing or older than its sources. */
export async function build() {
  if (!buildIsStale()) return
  console.error('building …')
  await mustRun(process.execPath, [join(ROOT, 'scripts/build.mjs')], { timeoutMs: 180_000, stdout: 2 })
}

export function installIsStale(root = ROOT) {
  const wanted = join(root, 'package-lock.json')
  const installed = join(root, 'node_modules/.package-lock.json') // npm writes it last
  if (!existsSync(installed)) return true
  if (statSync(installed).mtimeMs >= statSync(wanted).mtimeMs) return false
  // A fresh checkout touches the lock file without changing it: compare before deleting files others may be using.
  return !samePackages(JSON.parse(readFileSync(wanted, 'utf8')), JSON.parse(readFileSync(installed, 'utf8')))
}

export function buildIsStale(root = ROOT) {
  const built = join(root, 'dist/cli/main.js') // build.mjs stamps it with the instant the build began
  if (!existsSync(built)) return true
  const sources = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'].map(
    (name) => statSync(join(root, name)).mtimeMs,
  )
  return Math.max(newestMtimeMs(join(root, 'src')), ...sources) > statSync(built).mtimeMs
}

/** Newest mtime in a tree, folders included: deleting a file changes only its folder. */
export function newestMtimeMs(path) {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return readdirSync(path).reduce((newest, name) => Math.max(newest, newestMtimeMs(join(path, name))), stat.mtimeMs)
}

/** Every file below `path`, absolute and sorted; an absent folder has none. */
export function filesBelow(path) {
  if (!existsSync(path)) return []
  return readdirSync(path, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? filesBelow(join(path, entry.name)) : [join(path, entry.name)]))
    .sort()
}

/** A program installed by npm. */
export function bin(name) {
  return join(ROOT, 'node_modules/.bin', name)
}

/**
 * Runs a program in the checkout and resolves with its exit code, or 124 if it took longer than `timeoutMs`.
 * It gets its own process group, so that a time-out or Ctrl+C also ends what it started.
 */
export function run(command, args, { timeoutMs = 300_000, stdout = 'inherit', env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env,
      stdio: ['ignore', stdout, 'inherit'],
      detached: process.platform !== 'win32',
    })
    let timedOut = false
    const end = (signal) => {
      try {
        process.kill(process.platform === 'win32' ? child.pid : -child.pid, signal)
      } catch {
        // It is already gone, as intended.
      }
    }
    const timer = setTimeout(() => {
      timedOut = true
      console.error(`error: ${command} took longer than ${timeoutMs / 1000} s; ending it`)
      end('SIGTERM')
      setTimeout(end, 5_000, 'SIGKILL').unref()
    }, timeoutMs)
    const forward = (signal) => end(signal)
    for (const signal of SIGNALS) process.on(signal, forward)
    const done = () => {
      clearTimeout(timer)
      for (const signal of SIGNALS) process.off(signal, forward)
    }
    child.on('error', (error) => {
      done()
      reject(new ScriptError(`cannot run ${command}: ${error.message}`))
    })
    child.on('exit', (code, signal) => {
      done()
      if (timedOut) end('SIGKILL') // whatever of the group ignored the first request
      resolve(timedOut ? 124 : (code ?? 128 + (SIGNAL_NUMBERS[signal] ?? 0)))
    })
  })
}

/** Like `run`, but a failure ends the script. */
export async function mustRun(command, args, options) {
  const code = await run(command, args, options)
  if (code !== 0) throw new ScriptError(`${[command, ...args].join(' ')} ended with exit code ${code}`)
}

/** Optional packages of other platforms are in the lock file but never installed. */
function samePackages(wanted, installed) {
  const have = installed.packages ?? {}
  return Object.entries(wanted.packages ?? {}).every(
    ([path, entry]) =>
      path === '' || (have[path] === undefined ? entry.optional === true : have[path].version === entry.version),
  )
}

const SIGNALS = ['SIGINT', 'SIGTERM']
const SIGNAL_NUMBERS = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }
