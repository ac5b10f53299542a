/**
 * node scripts/lock.mjs: run after every change to package-lock.json.
 * A registry that does not carry every platform's binaries makes npm leave those optional packages out of the lock, and
 * `npm ci` then refuses the lock as out of step. This adds the missing entries, and to every entry without one the hash
 * that the registry states: without it npm would take whatever bytes it is given.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './lib.mjs'

const OS = new Set(['android', 'darwin', 'freebsd', 'linux', 'win32', 'openharmony'])
const CPU = {
  arm: 'arm',
  armeabi: 'arm',
  gnueabihf: 'arm',
  arm64: 'arm64',
  x64: 'x64',
  ia32: 'ia32',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
}

const file = join(ROOT, 'package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8'))
let added = 0
for (const [path, owner] of Object.entries({ ...lock.packages })) {
  for (const [name, version] of Object.entries(owner.optionalDependencies ?? {})) {
    if (
      lock.packages[`node_modules/${name}`] !== undefined ||
      lock.packages[`${path}/node_modules/${name}`] !== undefined
    )
      continue
    const entry = platformEntry(name, version, owner)
    if (entry === undefined)
      throw new Error(`${name}@${version}: neither its platform nor an exact version can be told`)
    lock.packages[`node_modules/${name}`] = entry
    added += 1
  }
}
let hashes = 0
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === '' || entry.link === true || entry.integrity !== undefined) continue
  const name = entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  const stated = execFileSync('npm', ['view', `${name}@${entry.version}`, 'dist.integrity'], {
    encoding: 'utf8',
  }).trim()
  if (!stated.startsWith('sha512-')) throw new Error(`${name}@${entry.version}: the registry states no hash`)
  const { version, ...rest } = entry
  lock.packages[path] = { version, integrity: stated, ...rest }
  hashes += 1
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added} entries and ${hashes} hashes added`)

function platformEntry(name, version, owner) {
  const parts = name.split('/').at(-1).split('-')
  const os = parts.find((part) => OS.has(part))
  const cpu = parts.map((part) => CPU[part]).find((found) => found !== undefined)
  if (os === undefined || cpu === undefined || !/^\d/.test(version)) return undefined
  const libc = parts.some((part) => part.startsWith('musl'))
    ? 'musl'
    : os === 'linux' && parts.some((part) => part.startsWith('gnu'))
      ? 'glibc'
      : undefined
  return {
    version,
    cpu: [cpu],
    ...(owner.dev === true && { dev: true }),
    ...(libc !== undefined && { libc: [libc] }),
    ...(owner.license !== undefined && { license: owner.license }),
    optional: true,
    os: [os],
    ...(owner.engines !== undefined && { engines: owner.engines }),
  }
}
