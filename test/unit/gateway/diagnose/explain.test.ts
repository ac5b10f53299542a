/** Each step of a dial can fail: it is named, earlier steps are reported, later ones are not tried. */
import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { PilotError } from '../../../../src/base/errors.ts'
import type { ErrorCode } from '../../../../src/base/errors.ts'
import { explain, explainSeveral } from '../../../../src/gateway/diagnose/explain.ts'
import type { ExplainNode } from '../../../../src/gateway/diagnose/explain.ts'
import { admitDial, admitPeer, isRelayRefused } from '../../../../src/gateway/service/path-policy.ts'
import type { ExplainRecord } from '../../../../src/gateway/model/records.ts'
import type { OverlayStream, PathKind } from '../../../../src/runtime/overlay.ts'

const fail = (code: ErrorCode) => async (): Promise<never> => {
  throw new PilotError(code, `no: ${code}`)
}

const NODE: ExplainNode = {
  resolve: async () => 2,
  hostnameOf: () => 'agent-b',
  isTrusted: async () => true,
  connect: async () => 2,
  dial: async () => Object.assign(new Duplex(), { resetAndDestroy: () => {} }) as unknown as OverlayStream,
  pathTo: () => ({ kind: 'punched', endpoint: '203.0.113.5:4000', reason: 'punched: both opened up' }),
}

async function told(
  node: Partial<ExplainNode>,
  policy: 'any' | 'direct' = 'any',
  port: number | undefined = 80,
): Promise<ExplainRecord> {
  return await explain(
    { ...NODE, ...node },
    { target: 'agent-b:80', peer: 'agent-b', port, policy, mapping: undefined },
  )
}

function states(record: ExplainRecord): string {
  return record.steps.map(({ step, state }) => `${step} ${state}`).join(', ')
}

test('a reachable target is reported step by step', async () => {
  const record = await told({})
  assert.deepEqual([record.reachable, record.code], [true, null])
  assert.equal(states(record), 'name ok, address ok, trust ok, path ok, port ok')
  assert.match(record.steps[3]!.text, /punched: both opened up \(203\.0\.113\.5:4000\)/)
})

for (const [what, node, code, expected] of [
  [
    'an unknown name',
    { resolve: fail('NOT_FOUND') },
    'NOT_FOUND',
    'name fail, address skipped, trust skipped, path skipped, port skipped',
  ],
  [
    'a peer that does not answer',
    { connect: fail('PEER_UNREACHABLE') },
    'PEER_UNREACHABLE',
    'name ok, address ok, trust ok, path fail, port skipped',
  ],
  [
    'a closed port',
    { dial: fail('CONNECTION_REFUSED') },
    'CONNECTION_REFUSED',
    'name ok, address ok, trust ok, path ok, port fail',
  ],
] as const) {
  test(`${what} is the step that fails`, async () => {
    const record = await told(node)
    assert.equal(record.code, code)
    assert.equal(states(record), expected)
    assert.ok(record.steps.find(({ state }) => state === 'fail')!.hint!.length > 0)
  })
}

test('a relay is the failing step if the mapping refuses it', async () => {
  const record = await told(
    { pathTo: () => ({ kind: 'relay', endpoint: 'x', reason: 'relay: both NATs are symmetric' }) },
    'direct',
  )
  assert.equal(record.code, 'RELAY_REFUSED')
})

test('without a port, no port is probed', async () => {
  const record = await explain(
    { ...NODE, dial: fail('FAILED') },
    { target: 'agent-b', peer: 'agent-b', port: undefined, policy: 'any', mapping: undefined },
  )
  assert.equal(states(record), 'name ok, address ok, trust ok, path ok, port skipped')
  assert.equal(record.reachable, true)
})

test('a mapping to several reports every peer; one reachable peer is enough', async () => {
  const dial = async (target: string): Promise<OverlayStream> =>
    target === 'b:80' ? await NODE.dial(target) : await fail('CONNECTION_REFUSED')()
  const asked = { target: 'web', peer: 'a|b|c', port: 80, policy: 'any' as const, mapping: 'web' }
  const record = await explainSeveral({ ...NODE, dial }, asked, ['a', 'b', 'c'])
  assert.deepEqual(
    [record.reachable, record.peer, record.others?.map(({ peer, code }) => [peer, code])],
    [
      true,
      'b',
      [
        ['a', 'CONNECTION_REFUSED'],
        ['c', 'CONNECTION_REFUSED'],
      ],
    ],
  )
  const none = await explainSeveral({ ...NODE, dial: fail('CONNECTION_REFUSED') }, asked, ['a', 'c'])
  assert.deepEqual([none.code, none.peer, none.others?.length], ['CONNECTION_REFUSED', 'a', 1])
  const nobody = await explainSeveral(NODE, { ...asked, peer: 'tag:ci' }, [])
  assert.deepEqual(
    [nobody.code, states(nobody)],
    ['PEER_UNREACHABLE', 'name fail, address skipped, trust skipped, path skipped, port skipped'],
  )
  assert.equal((await explainSeveral(NODE, asked, ['a'])).others, undefined)
})

test('path=direct waits for a direct path, then refuses; prefer-direct waits less, then uses the relay', async () => {
  const signal = new AbortController().signal
  let kind: PathKind = 'relay'
  const node = {
    connect: async () => 2,
    pathTo: () => ({ kind, endpoint: '203.0.113.5:4000', reason: 'relay: both NATs are symmetric' }),
  }
  const began = performance.now()
  await admitDial(node, 'agent-b', 'prefer-direct', signal)
  assert.ok(performance.now() - began >= 1_900)
  setTimeout(() => {
    kind = 'punched'
  }, 100)
  await admitDial(node, 'agent-b', 'direct', signal)
  assert.equal(await admitPeer(node, 2, 'direct'), true)
  kind = 'relay'
  const gone = AbortSignal.abort()
  await assert.rejects(
    admitDial(node, 'agent-b', 'direct', gone),
    (error) =>
      error instanceof PilotError && error.code === 'RELAY_REFUSED' && /both NATs are symmetric/.test(error.message),
  )
  assert.equal(await admitPeer(node, 2, 'any'), true)
})

test('a stream ended because only the relay is left is distinguished from every other end', () => {
  assert.equal(isRelayRefused(new PilotError('RELAY_REFUSED', 'only the relay is left')), true)
  for (const error of [
    undefined,
    new Error('x'),
    new PilotError('TIMED_OUT', 'the peer stopped acknowledging data'),
    new PilotError('PEER_RESET', 'reset by the other side'),
  ]) {
    assert.equal(isRelayRefused(error), false)
  }
})
