/**
 * The reference programs as they are released today: the Python package `pilotprotocol` is a wheel that carries them.
 * Tests start them; nothing of pilotgate depends on them. They go into a cache outside the checkout, once.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ROOT, run } from './lib.mjs'

/** Pinned, with the hash of the wheel: raise both by hand, and look at docs/interop.md. */
const { version, sha256 } = JSON.parse(readFileSync(join(ROOT, 'scripts/wheel.json'), 'utf8'))

const PROGRAMS = ['pilot-daemon', 'pilotctl']

/** @returns the folder that holds the programs; undefined, with the reason printed, if they cannot be had here. */
export async function installWheel() {
  const skip = (reason) => console.error(`note: the reference programs of today are not tested: ${reason}`)
  const hash = sha256[process.arch]
  if (process.platform !== 'linux' || hash === undefined)
    return skip(`there is no wheel of them for ${process.platform}-${process.arch}`)
  const target = join(cacheFolder(), `${version}-${process.arch}`)
  const bin = join(target, 'pilotprotocol', 'bin')
  if (PROGRAMS.every((name) => existsSync(join(bin, name)))) return bin
  if ((await quiet('python3', ['-m', 'pip', '--version'])) !== 0) return skip('there is no pip (python3 -m pip)')
  console.error(`fetching pilotprotocol ${version} (pip, some 25 MB) …`)
  // Beside its place, then renamed: an interrupted installation is not taken for a complete one.
  const fresh = `${target}.${process.pid}`
  mkdirSync(fresh, { recursive: true })
  const list = join(fresh, 'requirements.txt')
  writeFileSync(list, `pilotprotocol==${version} --hash=sha256:${hash}\n`)
  const args = ['install', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:']
  const code = await quiet('python3', ['-m', 'pip', ...args, '--require-hashes', '--target', fresh, '-r', list])
  const fetched = join(fresh, 'pilotprotocol', 'bin')
  const absent = PROGRAMS.filter((name) => !existsSync(join(fetched, name)))
  if (code !== 0 || absent.length > 0) {
    rmSync(fresh, { recursive: true, force: true })
    return skip(
      code !== 0 ? 'the package registry does not give them (pip said why above)' : `no ${absent.join(', ')} in it`,
    )
  }
  for (const name of PROGRAMS) chmodSync(join(fetched, name), 0o755)
  if (existsSync(target)) rmSync(fresh, { recursive: true, force: true }) // another run was quicker
  else renameSync(fresh, target)
  return bin
}

async function quiet(command, args) {
  return await run(command, args, { timeoutMs: 180_000, stdout: 'ignore' }).catch(() => 1)
}

function cacheFolder() {
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  return join(caches, 'pilotgate', 'wheel')
}
