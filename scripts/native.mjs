/**
 * The native port (native/): built with cargo, where there is one, into dist/native. Optional: whatever goes wrong is one line, and
 * the gateway uses the port of node:dgram. `PILOTGATE_NATIVE=0` leaves it out.
 */
import { copyFileSync, existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ROOT, newestMtimeMs, run } from './lib.mjs'

const CRATE = join(ROOT, 'native')
const MANIFEST = join(CRATE, 'Cargo.toml')
/** What does not call Node can be linked into a test. */
const PURE = ['--release', '--locked', '--quiet', '--no-default-features']
const LIBRARIES = { linux: 'libpilotgate_native.so', darwin: 'libpilotgate_native.dylib' }
/** A first build compiles the cipher from C: minutes on a small machine. */
const BUILD_MS = 900_000

/** @returns {Promise<boolean>} whether it is there now. A package has no sources: its port comes with it, or from another. */
export async function buildNative() {
  const library = LIBRARIES[process.platform]
  if (process.env.PILOTGATE_NATIVE === '0' || library === undefined || !existsSync(CRATE)) return false
  const target = nativeFile()
  if (existsSync(target) && statSync(target).mtimeMs >= newestSource()) return true
  console.error('building the native port (cargo; a first build takes a few minutes) …')
  const args = ['build', '--manifest-path', MANIFEST, '--release', '--locked', '--quiet']
  const code = await run('cargo', args, { timeoutMs: BUILD_MS, stdout: 2 }).catch(() => 127)
  if (code !== 0) {
    const why = code === 127 ? 'cargo is not installed' : `cargo ended with exit code ${code}`
    console.error(`no native port: ${why}. Everything works without it, only slower on fast networks.`)
    return false
  }
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(join(CRATE, 'target/release', library), `${target}.new`)
  renameSync(`${target}.new`, target) // a gateway that runs from dist keeps its file
  return true
}

/** Format, lints and tests of the crate; nothing where there is no cargo. */
export async function testNative() {
  if (!(await buildNative())) return 0
  for (const [command, ...args] of [
    ['fmt', '--check'],
    ['clippy', ...PURE, '--all-targets', '--', '-D', 'warnings'],
    ['test', ...PURE],
  ]) {
    const code = await run('cargo', [command, '--manifest-path', MANIFEST, ...args], { timeoutMs: BUILD_MS })
    if (code !== 0) return code
  }
  return 0
}

/** src/runtime/native/addon.ts looks for it there. */
export function nativeFile() {
  const libc =
    process.platform !== 'linux' ? '' : process.report.getReport().header.glibcVersionRuntime ? '-gnu' : '-musl'
  return join(ROOT, 'dist/native', `pilotgate.${process.platform}-${process.arch}${libc}.node`)
}

function newestSource() {
  return Math.max(...['src', 'Cargo.toml', 'Cargo.lock', 'build.rs'].map((name) => newestMtimeMs(join(CRATE, name))))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildNative()
