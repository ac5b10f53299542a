/** doctor, doctor TARGET and list peers --paths: lines for people, records with --json, exit codes for scripts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PilotError } from '../../../src/base/errors.ts'
import type { DoctorRecord } from '../../../src/gateway/model/records.ts'
import { fakeControl } from '../admin/control.ts'
import { noGateway, run, testWorld } from './world.ts'

test('doctor prints each check with its remedy, and exits 1 if one fails', async () => {
  const { code, out } = await run('doctor --no-color')
  assert.equal(code, 1)
  assert.match(out, /^ok {4}registry {2}it answers\nFAIL {2}udp {7}UDP is blocked\n +→ Allow it\.\nproblem found/)
})

test('doctor --json is the record', async () => {
  const { code, out } = await run('doctor --json')
  assert.equal(code, 1)
  assert.equal((JSON.parse(out) as { data: DoctorRecord }).data.udp, 'blocked')
})

test('doctor checks on its own if no gateway is running', async () => {
  const asked: unknown[] = []
  const record: DoctorRecord = {
    healthy: true,
    udp: 'passes',
    publicEndpoint: '203.0.113.5:4000',
    nat: { mapping: 'none', filtering: 'unknown' },
    checks: [{ name: 'udp', state: 'ok', text: 'it passes' }],
  }
  const world = testWorld({
    control: noGateway(),
    modules: {
      checkUp: async () => ({
        checkUp: async (options) => {
          asked.push(options.registry, options.registryFingerprint, options.beacon)
          return record
        },
      }),
    },
  })
  const pin = 'ab'.repeat(32)
  const flags = `--registry rv.example:9000 --registry-fingerprint ${pin} --beacon rv.example:9001`
  const { code, out } = await run(`doctor ${flags}`, world)
  assert.deepEqual([code, asked], [0, ['rv.example:9000', pin, 'rv.example:9001']])
  assert.match(out, /no problem found/)
})

test('doctor TARGET prints the steps and exits with the code of the one that failed', async () => {
  const calls: unknown[][] = []
  const { code, out } = await run('doctor agent-b:80 --no-color', testWorld({ control: fakeControl(calls) }))
  assert.deepEqual([code, calls], [5, [['explain', 'agent-b:80']]])
  assert.match(
    out,
    /ok {4}name {5}node 2\nFAIL {2}port {5}refused\n +→ Ask\.\nagent-b:80 is unreachable: CONNECTION_REFUSED/,
  )
})

test('list peers shows the reason for each path, and --paths every path with loss and bytes', async () => {
  assert.match((await run('list peers')).out, /agent-b: punched: both sides keep out/)
  const { out } = await run('list peers --paths')
  assert.match(out, /punched +203\.0\.113\.7:4000 +used +12\.3 ms +1400 +0\.5 % +1\.6 MB +1\.0 kB/)
  assert.match(out, /relay +198\.51\.100\.1:9001 +untried +- +1231 +- /)
})

test('a failure other than "no gateway" is not hidden', async () => {
  const control = fakeControl([], {
    doctor: () => {
      throw new PilotError('FAILED', 'something else')
    },
  })
  assert.equal((await run('doctor', testWorld({ control }))).code, 1)
})
