/**
 * Programs of others on our driver socket, as they are: every sub-command of pilotctl and the Python SDK of the wheel, each
 * against a real daemon and against ours. With PILOTGATE_WRITE_TABLE=1 the table in docs/driver.md is written again.
 */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Gateway, Stage } from '../e2e/harness.ts'
import { IpcClient } from '../e2e/ipc-client.ts'
import { ROOT, findProgram } from '../e2e/program.ts'
import { packetsOut, refusingProxy } from './containment.ts'
import type { RefusingProxy } from './containment.ts'
import { GoNode, goProgram, noToday } from './go.ts'
import { ROWS, outcomes, tableInPage, tableOf, writeTable } from './pilotctl.ts'
import type { PilotctlWorld } from './pilotctl.ts'

const TOKEN = 'a token of an administrator in a test'
const python = findProgram('python3')

describe('our driver socket and a daemon of today', { skip: noToday, concurrency: false }, () => {
  let stage: Stage
  let proxy: RefusingProxy
  let registry: string
  let go: GoNode // the daemon that ours is compared with
  let ours: Gateway
  let socket: string
  let peers: readonly [GoNode, GoNode] // of the daemon, of ours
  let outBefore = 0

  before(async () => {
    stage = await Stage.open()
    outBefore = packetsOut()
    proxy = await refusingProxy(stage)
    writeFileSync(stage.path('token'), TOKEN, { mode: 0o600 })
    writeFileSync(stage.path('file.txt'), 'a file to send\n')
    writeFileSync(stage.path('policy.json'), POLICY)
    // where pilotctl looks for what came
    for (const folder of ['inbox', 'received'])
      mkdirSync(stage.path('home-of-ours', '.pilot', folder), { recursive: true })
    writeFileSync(stage.path('blueprint.json'), '{"name":"blue","join_rule":"open"}')
    const args = ['--registry', '127.0.0.1:0', '--beacon', '127.0.0.1:0', '--admin-token-file', stage.path('token')]
    const ready = await stage.start(['rendezvous', '--json', ...args], { label: 'rendezvous' }).event('ready')
    const rendezvous = { registry: String(ready['registry']), beacon: String(ready['beacon']) }
    registry = rendezvous.registry
    const start = async (name: string): Promise<GoNode> =>
      GoNode.start(stage, { name, rendezvous, public: true, today: proxy, args: ['-admin-token', TOKEN] })
    go = await start('real')
    socket = stage.path('drivers', 'pilot.sock')
    ours = await Gateway.start(stage, {
      name: 'ours',
      ...rendezvous,
      args: ['--public', '--driver-socket', socket],
    })
    peers = [await start('peer-of-real'), await start('peer-of-ours')]
  })
  after(async () => stage?.close())

  test(
    'the Python SDK does the same on both, by the same script',
    { skip: python === undefined && 'no python3' },
    async (t) => {
      const ran = async (own: string, peer: GoNode): Promise<Map<string, unknown>> => {
        const script = `${ROOT}/test/interop/sdk.py`
        const { stdout, stderr } = await stage.run(python!, [script, own, peer.socket, stage.path('file.txt')], {
          label: 'sdk.py',
          env: {
            HOME: stage.path('sdk'),
            PYTHONPATH: dirname(dirname(goProgram('', 'today'))),
            PILOT_LIB_PATH: goProgram('libpilot.so', 'today'),
          },
          timeoutMs: 180_000,
        })
        const steps = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Step]))
        assert.ok(steps.length > 15, `${stdout}${stderr}`)
        return new Map(steps.map(({ step, result }) => [step, result]))
      }
      const [real, own] = [await ran(go.socket, peers[0]), await ran(socket, peers[1])]
      const broker = await IpcClient.open(stage, socket)
      broker.say({ kind: 'bind', port: 1_002 })
      const hasBroker = await Promise.race([
        broker.take('error').then(() => true),
        broker.take('bind_ok').then(() => false),
      ])
      if (!hasBroker) {
        t.diagnostic('events of our own broker are left out: nothing is served on port 1002')
        for (const steps of [real, own]) steps.delete('events of our own')
      }
      broker.socket.destroy()
      assert.deepEqual(Object.fromEntries(own), Object.fromEntries(real))
      assert.deepEqual(
        [...real].filter(([name, result]) => hasError(result) && name !== 'listen again on the same port'),
        [],
      )
    },
  )

  test('pilotctl prints the same, except where the table says why', { timeout: 280_000 }, async () => {
    const worldOf = (of: Pick<PilotctlWorld, 'socket' | 'home' | 'node' | 'address'>, peer: GoNode): PilotctlWorld => ({
      ...of,
      peer: { socket: peer.socket, home: peer.home, node: peer.nodeId, address: peer.address },
      registry,
      adminToken: TOKEN,
      proxy: proxy.url,
      file: stage.path('file.txt'),
      policy: stage.path('policy.json'),
      blueprint: stage.path('blueprint.json'),
    })
    const { nodeId: node, address } = ours.ready.node
    const home = stage.path('home-of-ours')
    const real = await outcomes(
      stage,
      worldOf({ ...go, node: go.nodeId, socket: go.socket, home: go.home, address: go.address }, peers[0]),
      'real',
      'peer-of-real',
    )
    const own = await outcomes(stage, worldOf({ socket, home, node, address }, peers[1]), 'ours', 'peer-of-ours')
    const table = tableOf(real, own)
    if (process.env['PILOTGATE_WRITE_TABLE'] !== undefined) await writeTable(table)
    const differing = ROWS.flatMap(({ args }, index) => (real[index] === own[index] ? [] : [args]))
    const explained = ROWS.flatMap(({ args, differs }) => (differs === undefined ? [] : [args]))
    assert.deepEqual(differing, explained, table)
    assert.equal(tableInPage(), table, 'docs/driver.md shows another table: PILOTGATE_WRITE_TABLE=1 writes it again')
  })

  test('nothing tried to leave', () => {
    assert.equal(packetsOut(), outBefore)
  })
})

interface Step {
  readonly step: string
  readonly result: unknown
}

function hasError(result: unknown): boolean {
  return typeof result === 'object' && result !== null && 'error' in result
}

const POLICY = '{"version":1,"rules":[{"name":"a","on":"connect","match":"true","actions":[{"type":"allow"}]}]}'
