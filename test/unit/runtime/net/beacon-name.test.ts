/** The beacon's name: looked up until it resolves, and again when the beacon is silent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BeaconName } from '../../../../src/runtime/net/beacon-name.ts'
import { silentLogger } from '../../../../src/runtime/log.ts'

test('a name that does not resolve at first does not keep the node from starting, and is looked up again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const answers = [new Error('EAI_AGAIN'), new Error('EAI_AGAIN'), '192.0.2.1']
  const { beacon, moves, asked } = named(answers)
  await beacon.start()
  assert.deepEqual(beacon.endpoint, { address: '', port: 9001 })
  for (const pause of [1_000, 2_000]) {
    t.mock.timers.tick(pause)
    await settled()
  }
  assert.deepEqual([beacon.endpoint.address, moves(), asked()], ['192.0.2.1', 1, 3])
  beacon.stop()
})

test('a silent beacon is looked up again and followed to its new address; one that answers is not', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { beacon, moves, asked, silence } = named(['192.0.2.1', '192.0.2.2'])
  await beacon.start()
  const before = beacon.endpoint
  t.mock.timers.tick(30_000)
  await settled()
  assert.equal(asked(), 1)
  silence()
  t.mock.timers.tick(30_000)
  await settled()
  assert.deepEqual([beacon.endpoint, moves(), asked()], [{ address: '192.0.2.2', port: 9001 }, 2, 2])
  assert.equal(before, beacon.endpoint, 'holders of the endpoint see the new address')
  beacon.stop()
  t.mock.timers.tick(300_000)
  await settled()
  assert.equal(asked(), 2)
})

test('an address needs no look-up', async () => {
  let asked = 0
  const beacon = new BeaconName([{ address: '2001:db8::1', port: 1 }], silentLogger, async () => {
    asked += 1
    return []
  })
  await beacon.start()
  assert.deepEqual([beacon.endpoint, asked], [{ address: '2001:db8::1', port: 1 }, 0])
})

test('of several addresses the next one is taken when one is silent, each once before the pace slows down', async () => {
  const names = ['192.0.2.1', 'rv.example', '192.0.2.9'].map((address) => ({ address, port: 9001 }))
  const beacon = new BeaconName(names, silentLogger, async () => ['192.0.2.2', '192.0.2.3'])
  await beacon.start()
  const seen = [beacon.endpoint.address]
  const isUrgent: boolean[] = []
  for (let i = 0; i < 5; i++) {
    isUrgent.push(beacon.next(7))
    seen.push(beacon.endpoint.address)
  }
  assert.deepEqual(seen, ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.9', '192.0.2.1', '192.0.2.2'])
  assert.deepEqual(isUrgent, [true, true, true, false, false])
  assert.equal(beacon.next(8), true, 'one has answered since: a new round')
  assert.equal(beacon.endpoint.address, '192.0.2.3')
  beacon.stop()
})

function named(answers: (Error | string)[]) {
  let [moves, asked, silent] = [0, 0, false]
  const beacon = new BeaconName([{ address: 'rv.example', port: 9001 }], silentLogger, async () => {
    const answer = answers[Math.min(asked++, answers.length - 1)]!
    if (answer instanceof Error) throw answer
    return [answer]
  })
  beacon.follow({
    isSilent: () => silent,
    onMoved: () => {
      moves += 1
    },
  })
  return {
    beacon,
    moves: () => moves,
    asked: () => asked,
    silence: () => {
      silent = true
    },
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve))
  })
}
