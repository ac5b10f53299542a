/** Sizes not tried twice, punches spread over time, targets others may not choose; and the sizes of one path. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_AIMS, PAYLOAD_LADDER, PUNCH_AT_MS, RAISE_AGAIN_MS } from '../../../../src/proto/path/constants.ts'
import { Path } from '../../../../src/proto/path/path.ts'
import { Puncher } from '../../../../src/proto/path/puncher.ts'
import { SizeMemory } from '../../../../src/proto/path/size-memory.ts'
import { mayAim, reachOf } from '../../../../src/proto/path/targets.ts'

const PEER = { address: '203.0.113.5', port: 4_000 }

/** Sends the probes a path wants, answers those up to `largest`. @returns the sizes sent. */
function probed(path: Path, largest: number, from: number): number[] {
  const sizes: number[] = []
  for (let now = from; now < from + 60_000; now += 500) {
    path.checkSizeProbe(now)
    const size = path.takeSizeProbe(now)
    if (size === 0) continue
    sizes.push(size)
    if (size <= largest) path.onSizeAnswer(now, size)
  }
  return sizes
}

test('sizes are tried upwards, each once, and the last one answered is used', () => {
  const path = new Path('direct', PEER, 65_507, new SizeMemory())
  assert.deepEqual(probed(path, 1_393, 0), [1_293, 1_345, 1_393, 4_096])
  assert.equal(path.payloadBytes, 1_393)
})

test("nothing larger than the interface's MTU is tried", () => {
  assert.deepEqual(probed(new Path('direct', PEER, 1_472, new SizeMemory()), 65_536, 0), [1_293, 1_345, 1_393])
  assert.deepEqual(probed(new Path('direct', PEER, 1_252, new SizeMemory()), 65_536, 0), [])
})

test('on loopback the largest size is tried first', () => {
  const path = new Path('direct', { address: '127.0.0.1', port: 4_000 }, 65_507, new SizeMemory())
  assert.deepEqual(probed(path, 65_536, 0), [PAYLOAD_LADDER.at(-1)])
  const other = new Path('direct', { address: '127.0.0.1', port: 4_001 }, 65_507, new SizeMemory())
  assert.deepEqual(probed(other, 20_000, 0).slice(0, 5), [61_440, 32_768, 16_384, 61_440, 32_768], 'and again, soon')
  assert.equal(other.payloadBytes, 16_384)
  other.onBlackHole(60_000)
  assert.equal(other.payloadBytes, 16_384, 'which loopback has none of')
})

test('through a relay only the base is used, wherever it runs: its kernel would fragment larger packets', () => {
  assert.deepEqual(probed(new Path('relay', PEER, 65_507, new SizeMemory()), 65_536, 0), [])
  assert.deepEqual(
    probed(new Path('relay', { address: '127.0.0.1', port: 9_001 }, 65_507, new SizeMemory()), 65_536, 0),
    [],
  )
})

test('an unanswered size is not sent to that address again on any path, until the kernel has forgotten', () => {
  const memory = new SizeMemory()
  probed(new Path('direct', PEER, 65_507, memory), 1_345, 0)
  const other = new Path('direct', { ...PEER, port: 5_000 }, 65_507, memory)
  assert.deepEqual(probed(other, 65_536, 60_000), [1_293, 1_345])
  assert.equal(other.payloadBytes, 1_345)
  assert.deepEqual(
    probed(new Path('direct', { ...PEER, port: 5_001 }, 1_472, memory), 65_536, RAISE_AGAIN_MS + 2_000),
    [1_293, 1_345, 1_393],
  )
  assert.deepEqual(
    probed(new Path('direct', { address: '203.0.113.6', port: 1 }, 1_472, memory), 65_536, 60_000),
    [1_293, 1_345, 1_393],
    'another address is another matter',
  )
})

test('a black hole reduces the path to the base size for as long', () => {
  const memory = new SizeMemory()
  const path = new Path('direct', PEER, 1_472, memory)
  probed(path, 65_536, 0)
  path.onBlackHole(60_000)
  assert.equal(path.payloadBytes, 1_152)
  assert.deepEqual(probed(path, 65_536, 60_000), [])
  assert.equal(probed(path, 65_536, 60_000 + RAISE_AGAIN_MS).at(-1), 1_393)
})

test('after a network change everything is measured again', () => {
  const memory = new SizeMemory()
  const path = new Path('direct', PEER, 1_472, memory)
  probed(path, 65_536, 0)
  memory.clear()
  path.onLocalChange(1_372)
  assert.equal(path.payloadBytes, 1_152)
  assert.deepEqual(probed(path, 65_536, 100_000), [1_293])
})

test('punches are spread over half a second, and an endpoint is punched once at a time', () => {
  const puncher = new Puncher()
  assert.equal(puncher.aim(1_000, PEER), true)
  assert.equal(puncher.aim(1_010, PEER), false)
  const sent: number[] = []
  for (let now = 1_000; now < 3_000; now++) while (puncher.poll(now) !== undefined) sent.push(now - 1_000)
  assert.deepEqual(sent, PUNCH_AT_MS)
  assert.equal(puncher.nextTimeout(), Infinity)
  assert.equal(puncher.aim(3_000, PEER), true)
})

test('the number of endpoints punched at the same time is limited', () => {
  const puncher = new Puncher()
  const taken = Array.from({ length: 500 }, (_, port) =>
    puncher.aim(0, { address: PEER.address, port: port + 1 }),
  ).filter(Boolean).length
  assert.equal(taken, MAX_AIMS)
})

test('no one can make us send to anything closer than itself, or to a non-host address', () => {
  const reaches = {
    '127.0.0.1': 'host',
    '::1': 'host',
    '10.0.0.1': 'network',
    '172.16.0.1': 'network',
    '172.32.0.1': 'world',
    '192.168.3.4': 'network',
    '169.254.0.1': 'network',
    '100.64.0.1': 'network',
    '8.8.8.8': 'world',
    '0.0.0.0': 'nowhere',
    '224.0.0.1': 'nowhere',
    '255.255.255.255': 'nowhere',
    'fe80::1': 'network',
    'fd12::1': 'network',
    'ff02::1': 'nowhere',
    '2001:db8::1': 'world',
    '::': 'nowhere',
  } as const
  for (const [address, reach] of Object.entries(reaches)) assert.equal(reachOf(address), reach, address)
  assert.equal(mayAim('10.0.0.1', '8.8.8.8'), false)
  assert.equal(mayAim('127.0.0.1', '10.0.0.1'), false)
  assert.equal(mayAim('224.0.0.1', '127.0.0.1'), false)
  assert.equal(mayAim('8.8.8.8', '10.0.0.1'), true)
  assert.equal(mayAim('10.0.0.2', '10.0.0.1'), true)
  assert.equal(mayAim('127.0.0.1', '127.0.0.1'), true)
})
