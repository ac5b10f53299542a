/**
 * Ten thousand random datagrams, and ten thousand damaged good ones, into every decoder: nothing throws, the input is
 * unchanged, and anything that parses encodes again to the same bytes.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { fromUtf8, toHex, utf8 } from '../../src/base/bytes.ts'
import { nodeCrypto, portableCrypto } from '../../src/crypto/aead.ts'
import { parseIdentityFile, verifySignature } from '../../src/crypto/identity.ts'
import { decodeIpcMessage, decodeIpcRequest, encodeIpcMessage, encodeIpcRequest } from '../../src/wire/ipc-messages.ts'
import { formatTrustFile, parseTrustFile } from '../../src/wire/trust-file.ts'
import { damaged, feed, goodDatagrams, randomBytes, randomDatagram, randomSource } from './decoders.ts'

const ROUNDS = 10_000
const SEEDS = [1, 20_260_401]

for (const seed of SEEDS) {
  test(`random datagrams (seed ${seed})`, () => {
    const random = randomSource(seed)
    let parsed = 0
    for (let i = 0; i < ROUNDS; i++) parsed += feed(randomDatagram(random))
    assert.ok(parsed > 100, `only ${parsed} of them parsed as anything`)
  })

  test(`damaged good datagrams (seed ${seed})`, () => {
    const random = randomSource(seed)
    const good = goodDatagrams(random)
    for (const bytes of good) assert.ok(feed(bytes) > 0, `nothing takes ${toHex(bytes)}`)
    let parsed = 0
    for (let i = 0; i < ROUNDS; i++) parsed += feed(damaged(good[random(good.length)]!, random))
    assert.ok(parsed > 1000, `only ${parsed} of them parsed as anything`)
  })

  test(`random bytes open with no key and verify with none (seed ${seed})`, () => {
    const random = randomSource(seed)
    const keys = [nodeCrypto.aead(new Uint8Array(32)), portableCrypto.aead(new Uint8Array(32))]
    for (let i = 0; i < 200; i++) {
      const bytes = randomBytes(random, random(120))
      for (const key of keys) assert.equal(key.open(randomBytes(random, 12), randomBytes(random, 4), bytes), undefined)
      assert.equal(verifySignature(randomBytes(random, 32), bytes, randomBytes(random, 64)), false)
    }
  })

  test(`random messages of a daemon's socket, either way (seed ${seed})`, () => {
    const random = randomSource(seed)
    let parsed = 0
    for (let i = 0; i < ROUNDS; i++) {
      const bytes = Uint8Array.from([random(0x40), ...randomBytes(random, random(24))])
      const [request, message] = [decodeIpcRequest(bytes), decodeIpcMessage(bytes)]
      const again =
        typeof request === 'object' && request.kind !== 'handshake'
          ? encodeIpcRequest(request)
          : typeof message === 'object' && message.kind !== 'json' && message.kind !== 'error'
            ? encodeIpcMessage(message)
            : undefined
      if (again === undefined) continue // a fault, or text, whose bytes need not be UTF-8
      assert.equal(toHex(again), toHex(bytes.subarray(0, again.length)))
      parsed += 1
    }
    assert.ok(parsed > 1000, `only ${parsed} of them parsed as anything`)
  })

  test(`damaged texts never throw from a parser (seed ${seed})`, () => {
    const random = randomSource(seed)
    const texts = [
      '{"trusted":[{"node_id":1,"public_key":"","approved_at":"x","mutual":true,"network":3}],"pending":[{"node_id":2,"received_at":"y"}]}',
      `{"private_key":"${'A'.repeat(86)}==","public_key":"${'A'.repeat(43)}="}`,
    ]
    for (let i = 0; i < ROUNDS; i++) {
      const text = fromUtf8(damaged(utf8(texts[random(texts.length)]!), random))
      const file = parseTrustFile(text)
      if (typeof file !== 'string') assert.deepEqual(parseTrustFile(formatTrustFile(file)), file)
      parseIdentityFile(text)
    }
  })
}
