/**
 * What the image runs, without a container: the files the Dockerfile copies, in the same layout, and its start and
 * health commands, run by an unprivileged user. scripts/node-versions.mjs runs this on the image's version of Node too.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, chown, copyFile, cp, mkdir, readdir, stat, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { Rendezvous, Stage } from './harness.ts'
import { ROOT } from './program.ts'

const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').replaceAll(/\\\n/g, ' ')
const UID = process.getuid?.() === 0 ? 1_000 : undefined // `node` in the image; unprivileged

let stage: Stage
let rendezvous: Rendezvous
before(async () => {
  stage = await Stage.open()
  rendezvous = await Rendezvous.start(stage)
  await chmod(stage.dir, 0o755)
  await layOut()
})
after(async () => stage.close())

test('both stages of the image are built from a Node version the tests run on', () => {
  const versions = JSON.parse(readFileSync(join(ROOT, 'scripts/node-versions.json'), 'utf8')) as string[]
  assert.deepEqual(instructions('FROM'), ['${BASE} AS build', '${BASE}'])
  const major = /^ARG BASE=node:(\d+)-slim$/m.exec(dockerfile)?.[1]
  assert.ok(
    versions.some((version) => version.startsWith(`${major}.`)),
    major,
  )
})

test('run by an unprivileged user, the start command comes up, the health check passes, and SIGTERM makes it exit 0', async () => {
  const [entry, command] = [parsed('ENTRYPOINT'), parsed('CMD')]
  const options = {
    cwd: stage.path('state'),
    uid: UID,
    env: {
      ...environment(),
      PATH: `${stage.path('usr/local/bin')}:${process.env['PATH']}`,
      PILOTGATE_STATE_DIR: stage.path('state'),
      PILOTGATE_REGISTRY: rendezvous.registry,
      PILOTGATE_BEACON: rendezvous.beacon,
    },
  }
  const gateway = stage.spawn(entry[0]!, [...entry.slice(1), ...command], { label: 'image', ...options })
  const health = /^HEALTHCHECK .*?CMD (.+)$/m.exec(dockerfile)?.[1]
  assert.ok(health)
  const deadline = Date.now() + 20_000
  let healthy = await stage.run('sh', ['-c', health], options)
  while (healthy.code !== 0 && gateway.exit === undefined && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 200))
    healthy = await stage.run('sh', ['-c', health], options)
  }
  assert.equal(healthy.code, 0, healthy.stderr + gateway.stderr)
  const identity = await stat(stage.path('state/identity.json'))
  assert.equal(identity.mode & 0o777, 0o600)
  assert.equal(identity.uid, UID ?? process.getuid?.())
  gateway.signal('SIGTERM')
  assert.deepEqual(await gateway.ended(15_000), { code: 0, signal: null })
})

test("the image's user can write its state but no file of the program", async () => {
  const written = await stage.run('sh', ['-c', `touch ${stage.path('opt/pilotgate/dist/x')}`], { uid: UID })
  if (UID !== undefined) assert.notEqual(written.code, 0)
  assert.deepEqual(instructions('USER'), ['1000:1000']) // a number: Kubernetes checks runAsNonRoot before it starts it
})

/** The COPY and RUN lines of the second stage, applied below our own folder; every file they name must exist. */
async function layOut(): Promise<void> {
  const program = stage.path('opt/pilotgate')
  await mkdir(join(program, 'node_modules'), { recursive: true })
  for (const line of instructions('COPY').slice(-4)) {
    const sources = line.split(/\s+/).filter((word) => !word.startsWith('--from='))
    const target = stage.path(sources.pop()!)
    for (const source of sources) {
      const from = join(ROOT, source.replace(/^\/opt\/pilotgate\//, ''))
      if (from.endsWith('/node_modules')) await copyProductionModules(from, target)
      else if ((await stat(from)).isDirectory()) await cp(from, target, { recursive: true })
      else await copyFile(from, join(target, source))
    }
  }
  assert.match(dockerfile, /ln -s \/opt\/pilotgate\/dist\/cli\/main\.js \/usr\/local\/bin\/pilotgate/)
  await mkdir(stage.path('usr/local/bin'), { recursive: true })
  await symlink(join(program, 'dist/cli/main.js'), stage.path('usr/local/bin/pilotgate'))
  await copyFile(process.execPath, stage.path('usr/local/bin/node')) // ours may be in a folder the user cannot enter
  await mkdir(stage.path('state'), { mode: 0o700 })
  if (UID !== undefined) await chown(stage.path('state'), UID, UID)
  assert.deepEqual((await readdir(program)).sort(), [
    'LICENSE',
    'README.md',
    'config',
    'dist',
    'node_modules',
    'package.json',
  ])
}

/** What `npm prune --omit=dev` leaves, except lmdb, which `up` does not need. */
async function copyProductionModules(from: string, target: string): Promise<void> {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>
  }
  for (const [path, { dev }] of Object.entries(packages)) {
    const name = path.replace(/^node_modules\//, '')
    if (path === '' || dev === true || name.includes('node_modules/') || !existsSync(join(from, name))) continue
    await mkdir(dirname(join(target, name)), { recursive: true })
    await cp(join(from, name), join(target, name), { recursive: true })
  }
}

function instructions(name: string): string[] {
  return [...dockerfile.matchAll(new RegExp(`^${name} (.+)$`, 'gm'))].map((match) => match[1]!)
}

function parsed(name: string): string[] {
  return JSON.parse(instructions(name).at(-1)!) as string[]
}

function environment(): Record<string, string> {
  return Object.fromEntries(
    [...dockerfile.matchAll(/(?<=^ENV .*)\b([A-Z_]+)=(\S+)/gm)].map((match) => [match[1]!, match[2]!]),
  )
}
