/**
 * The native port beside the port of node:dgram: the same frames on the wire, from each to the other. Skipped, with the
 * reason, where it has not been built (`npm run build`).
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { equalBytes } from '../../../src/base/bytes.ts'
import { formatEndpoint } from '../../../src/base/types.ts'
import { nodeCrypto, type AeadKey } from '../../../src/crypto/aead.ts'
import { selfTest } from '../../../src/crypto/self-test.ts'
import type { DatagramSlot } from '../../../src/proto/node/datagram-slot.ts'
import { loadNative, type NativeAddon } from '../../../src/runtime/native/addon.ts'
import { NativePort } from '../../../src/runtime/native/port.ts'
import type { DatagramPort, DatagramSink, Received } from '../../../src/runtime/net/datagram-port.ts'
import { UdpSocket } from '../../../src/runtime/net/udp-socket.ts'
import { SEALED_HEADER_BYTES, SEALED_OVERHEAD_BYTES, encodeSealedHeader } from '../../../src/wire/tunnel-frames.ts'
import { Random } from '../../sim/simulator/random.ts'

const native = loadNative()
const skip = 'reason' in native ? native.reason : false
const random = new Random(7)
const open: DatagramPort[] = []
after(async () => {
  for (const port of open) await port.close()
})

/** What arrives, with copies: a port may reuse nothing, but this test should not depend on it. */
class Inbox implements DatagramSink {
  readonly got: Received[] = []
  keys: readonly AeadKey[] = []

  onBatch(batch: readonly Received[], count: number): void {
    for (const { bytes, source, opened } of batch.slice(0, count)) this.got.push({ bytes, source, opened })
  }
  keysOf(): readonly AeadKey[] {
    return this.keys
  }
  async take(count: number): Promise<Received[]> {
    for (let i = 0; this.got.length < count && i < 500; i++)
      await new Promise((resolve) => void setTimeout(resolve, 10))
    return this.got.splice(0)
  }
}

async function portOf(kind: 'native' | 'node', sink: Inbox, address = '127.0.0.1'): Promise<DatagramPort> {
  assert.ok('addon' in native)
  const port =
    kind === 'native'
      ? new NativePort(native.addon, { address, port: 0 }, sink, assert.fail)
      : await UdpSocket.open({ address, port: 0 }, sink)
  open.push(port)
  return port
}

/** Puts a frame of node 7 with this plaintext into a slot. */
function fill(
  slot: DatagramSlot,
  to: DatagramPort,
  key: AeadKey | undefined,
  counter: number,
  plain: Uint8Array,
): void {
  encodeSealedHeader(slot.buffer, 0, 7, 1, 0, counter)
  slot.buffer.set(plain, SEALED_HEADER_BYTES)
  Object.assign(slot, { key, sealFrom: SEALED_HEADER_BYTES, endpoint: to.local })
  slot.length = SEALED_OVERHEAD_BYTES + plain.length
}

function sendAll(from: DatagramPort, to: DatagramPort, key: AeadKey | undefined, plains: readonly Uint8Array[]): void {
  for (let at = 0; at < plains.length; at += from.slots.length) {
    const part = plains.slice(at, at + from.slots.length)
    part.forEach((plain, i) => fill(from.slots[i]!, to, key, at + i, plain))
    from.send(from.slots, part.length)
  }
}

test('its cipher gives the known answers, and agrees with the others', { skip }, () => {
  assert.ok('crypto' in native)
  assert.equal(selfTest(native.crypto), undefined)
  for (let i = 0; i < 300; i++) {
    const [key, opening, nonce, aad] = [random.bytes(32), random.bytes(32), random.bytes(12), random.bytes(4)]
    const plain = random.bytes(random.below(3_000))
    const ours: AeadKey = native.crypto.aead(key, opening)
    const theirs = nodeCrypto.aead(opening, key)
    const sealed = new Uint8Array(plain.length + 16)
    ours.seal(nonce, aad, plain, sealed, 0)
    assert.ok(equalBytes(theirs.open(nonce, aad, sealed)!, plain))
    theirs.seal(nonce, aad, plain, sealed, 0)
    assert.ok(equalBytes(ours.open(nonce, aad, sealed)!, plain))
    sealed[random.below(sealed.length)]! ^= 1 << random.below(8)
    assert.equal(ours.open(nonce, aad, sealed), undefined)
  }
})

for (const address of ['127.0.0.1', '::1'])
  for (const [from, to] of [
    ['native', 'node'],
    ['node', 'native'],
    ['native', 'native'],
  ] as const)
    test(`frames of every size go from the ${from} port to the ${to} port (${address})`, { skip }, async () => {
      assert.ok('crypto' in native)
      const secret = random.bytes(32)
      const [sealing, opening] = [from, to].map((kind) => (kind === 'native' ? native.crypto : nodeCrypto).aead(secret))
      const inbox = new Inbox()
      inbox.keys = [opening!]
      const [sender, receiver] = [await portOf(from, new Inbox(), address), await portOf(to, inbox, address)]
      const sizes = [0, 1, 100, ...Array.from({ length: 40 }, () => 1_393), 500, 30_000, 60_000, 7]
      const plains = sizes.map((size) => random.bytes(size))
      for (let round = 0; round < 3; round++) {
        sendAll(sender, receiver, sealing, plains)
        const got = await inbox.take(plains.length)
        assert.equal(got.length, plains.length)
        got.forEach(({ bytes, source, opened }, i) => {
          assert.equal(formatEndpoint(source), formatEndpoint(sender.local))
          assert.equal(bytes.length, plains[i]!.length + SEALED_OVERHEAD_BYTES)
          const nonce = bytes.subarray(8, SEALED_HEADER_BYTES)
          const packet =
            opened === undefined
              ? opening!.open(nonce, bytes.subarray(4, 8), bytes.subarray(SEALED_HEADER_BYTES))
              : opened.packet
          assert.ok(equalBytes(packet!, plains[i]!))
          if (opened !== undefined) assert.equal(opened.key, opening)
        })
        const isOpened = got.every(({ opened }) => opened !== undefined)
        if (round > 0) assert.equal(isOpened, to === 'native', 'from the second round on it knows the keys')
      }
      assert.equal(sender.sendErrors, 0)
    })

test('what does not open is handed on as it came', { skip }, async () => {
  assert.ok('crypto' in native)
  const key = native.crypto.aead(random.bytes(32))
  const inbox = new Inbox()
  inbox.keys = [key]
  const [sender, receiver] = [await portOf('node', new Inbox()), await portOf('native', inbox)]
  const foreign = nodeCrypto.aead(random.bytes(32))
  for (let round = 0; round < 2; round++) {
    const slot = sender.slots[0]!
    fill(slot, receiver, foreign, 1, Buffer.from('sealed by another key'))
    sender.send(sender.slots, 1)
    const text = Buffer.from('no frame at all')
    slot.buffer.set(text)
    Object.assign(slot, { length: text.length, key: undefined })
    sender.send(sender.slots, 1)
    const [forged, plain] = await inbox.take(2)
    assert.deepEqual([forged!.opened, plain!.opened], [undefined, undefined])
    assert.equal(Buffer.from(plain!.bytes).toString(), 'no frame at all')
    const { bytes } = forged!
    const opened = foreign.open(bytes.subarray(8, 20), bytes.subarray(4, 8), bytes.subarray(20))
    assert.equal(Buffer.from(opened!).toString(), 'sealed by another key')
  }
})

test('an address that cannot be bound is named like that of the other port', { skip }, async () => {
  assert.ok('addon' in native)
  const taken = await portOf('native', new Inbox())
  const bind = (address: string, port: number): (() => unknown) => {
    return () => new NativePort(native.addon, { address, port }, new Inbox(), assert.fail)
  }
  assert.throws(bind('127.0.0.1', taken.local.port), { code: 'PORT_IN_USE' })
  assert.throws(bind('192.0.2.1', 0), { code: 'ADDRESS_UNAVAILABLE' })
})

test('whatever it is asked to send, it sends nothing else and stays up', { skip }, async () => {
  assert.ok('addon' in native)
  const inbox = new Inbox()
  const receiver = await UdpSocket.open({ address: '127.0.0.1', port: 0 }, inbox)
  open.push(receiver)
  const handle = new native.addon.NativePort('127.0.0.1', 0, 65_536, () => {})
  const arena = random.bytes(10_000)
  const about = new Uint32Array(10 * 64)
  for (let round = 0; round < 500; round++) {
    for (let i = 0; i < about.length; i++)
      about[i] = random.below(3) === 0 ? random.below(0xffff_ffff) : random.below(64)
    for (let at = 0; at < about.length; at += 10) {
      about[at + 4] = (receiver.local.port << 8) | random.below(8) // nothing goes anywhere else
      about[at + 5] = 0x7f00_0001
    }
    handle.send(arena, about, random.below(100))
    handle.setKeys(random.below(5), [random.below(100)])
    assert.equal(handle.receive(), 0)
    assert.equal(handle.take(new Uint8Array(random.below(9)), about.subarray(0, random.below(30))), 0)
  }
  about.set([9_000, 500, 20, 0, (receiver.local.port << 8) | 4, 0x7f00_0001, 0, 0, 0, 0])
  about.set([9_000, 2_000, 20, 0, (receiver.local.port << 8) | 4, 0x7f00_0001, 0, 0, 0, 0], 10) // beyond the arena
  handle.send(arena, about, 2)
  const isLast = ({ bytes }: Received): boolean => Buffer.from(bytes).equals(arena.subarray(9_000, 9_500))
  for (let i = 0; i < 500 && !inbox.got.some(isLast); i++) await new Promise((resolve) => void setTimeout(resolve, 10))
  assert.ok(isLast(inbox.got.at(-1)!))
  handle.close()
  handle.send(arena, about, 2)
  assert.deepEqual([handle.receive(), handle.backlog], [0, 0])
})

test('a thread that ends with an open port takes nothing down with it', { skip }, async () => {
  assert.ok('path' in native)
  const code = `new (require(${JSON.stringify(native.path)}).NativePort)('127.0.0.1', 0, 65536, () => {})`
  for (let round = 0; round < 3; round++) {
    const worker = new Worker(code, { eval: true })
    await once(worker, 'online')
    await new Promise((resolve) => void setTimeout(resolve, 50))
    await worker.terminate()
  }
})

test('if native code fails, node:dgram continues at the same address', async () => {
  const { addon, closed } = failing()
  const faults: string[] = []
  const inbox = new Inbox()
  const port = new NativePort(addon, { address: '127.0.0.1', port: 0 }, inbox, ({ message }) => faults.push(message))
  open.push(port)
  const other = await UdpSocket.open({ address: '127.0.0.1', port: 0 }, inbox)
  open.push(other)
  assert.equal(port.kind, 'native')
  for (let i = 0; i < 100 && inbox.got.length === 0; i++) {
    fill(port.slots[0]!, other, undefined, 1, Buffer.from('x'))
    port.send(port.slots, 1)
    await new Promise((resolve) => void setTimeout(resolve, 10))
  }
  const [got] = await inbox.take(1)
  assert.equal(formatEndpoint(got!.source), formatEndpoint(port.local))
  assert.deepEqual([port.kind, faults, closed()], ['node', ['panicked'], 1])
})

/** A port that panics at the first datagram. */
function failing(): { addon: NativeAddon; closed: () => number } {
  let closed = 0
  class FakePort {
    readonly localAddress = '127.0.0.1'
    readonly localPort = 20_000 + random.below(10_000)
    readonly receiveBufferBytes = 1
    readonly sendErrors = 0
    readonly backlog = 0
    setKeys(): void {}
    send(): void {
      throw new Error('panicked')
    }
    receive(): number {
      return 0
    }
    take(): number {
      return 0
    }
    close(): void {
      closed += 1
    }
  }
  return { addon: { NativeKey: assert.fail as never, NativePort: FakePort }, closed: () => closed }
}
