/** The first thing a user runs: the demo, as a command and as `npm start` in a fresh checkout. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { cp, mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Stage } from './harness.ts'
import { findProgram, ROOT } from './program.ts'

const CHECKS = [
  'HTTP status and body',
  'HTTP download',
  'HTTP upload',
  'gRPC unary',
  'gRPC server streaming',
  'gRPC client streaming',
  'gRPC bidirectional streaming',
]

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

test('demo --check makes seven requests through the mapped addresses, prints each and exits 0', async () => {
  const { code, stdout, stderr } = await stage.pilotgate(['demo', '--check'], { timeoutMs: 35_000 })
  assert.equal(code, 0, stdout + stderr)
  for (const check of CHECKS) assert.match(stdout, new RegExp(`^ok +${check}: .+$`, 'm'))
  assert.match(stdout, /^all 7 checks passed$/m)
  assert.match(stdout, /^ +curl http:\/\/127\.\d+\.\d+\.\d+:\d+\/$/m)
})

test('demo --check --json prints one ready event and one result with the seven checks', async () => {
  const { code, stdout } = await stage.pilotgate(['demo', '--check', '--json'], { timeoutMs: 35_000 })
  assert.equal(code, 0, stdout)
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(
    lines.map(({ v, event, status }) => [v, event, status]),
    [
      [1, 'ready', undefined],
      [1, undefined, 'ok'],
    ],
  )
  const { checked } = lines[1]!['data'] as { checked: { name: string; detail: string }[] }
  assert.deepEqual(
    checked.map(({ name }) => name),
    CHECKS,
  )
  assert.ok(checked.every(({ detail }) => detail.length > 0))
})

test('the curl line printed by the demo works unchanged, and Ctrl+C ends the demo and leaves nothing behind', async (t) => {
  // The line is run by a shell; after SIGINT the temporary folder is empty.
  const temporary = stage.path('tmp')
  await mkdir(temporary)
  const demo = stage.start(['demo'], { env: { TMPDIR: temporary } })
  const line = await demo.until(() => /^ +(curl http:\S+)$/m.exec(demo.stdout)?.[1], 'the curl line', 30_000)
  await demo.until(() => demo.stdout.includes('Press Ctrl+C to stop') || undefined, 'the end of the text')
  if (findProgram('curl') === undefined) t.diagnostic('curl is not installed: the line was not tested')
  else {
    const { code, stdout, stderr } = await stage.run('sh', ['-c', `${line} --silent --show-error --noproxy '*'`])
    assert.equal(code, 0, stderr)
    assert.ok(stdout.length > 0)
  }
  demo.signal('SIGINT')
  assert.deepEqual(await demo.ended(5_000), { code: 0, signal: null })
  assert.deepEqual(
    (await readdir(temporary)).filter((name) => name.startsWith('pilotgate')),
    [],
  )
})

test('`pilotgate down` ends the demo, which leaves nothing behind', async () => {
  const temporary = stage.path('tmp-down')
  await mkdir(temporary)
  const demo = stage.start(['demo', '--json'], { env: { TMPDIR: temporary } })
  const { admin } = (await demo.event('ready')) as unknown as { admin: { a: string } }
  const down = await stage.pilotgate(['down', '--admin', admin.a])
  assert.equal(down.code, 0, down.stderr)
  assert.deepEqual(await demo.ended(10_000), { code: 0, signal: null })
  assert.deepEqual(await readdir(temporary), [])
})

test('npm start -- --check in a fresh checkout builds, runs the demo and exits 0', async (t) => {
  // A copy of the files in a clone, with the dependencies already installed here: no network is needed.
  if (findProgram('npm') === undefined) return t.skip('npm is not installed')
  const copy = stage.path('checkout')
  const left = new Set(['.git', 'dist', 'node_modules', 'test', 'coverage'])
  for (const entry of await readdir(ROOT))
    if (!left.has(entry)) await cp(join(ROOT, entry), join(copy, entry), { recursive: true, preserveTimestamps: true })
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  const { code, stdout, stderr } = await stage.run('npm', ['start', '--', '--check'], { cwd: copy, timeoutMs: 90_000 })
  assert.equal(code, 0, stdout + stderr)
  assert.match(stdout, /^all 7 checks passed$/m)
})
