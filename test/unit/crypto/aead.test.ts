/** Both AES-256-GCM implementations: each opens what the other seals, and no changed byte gets through. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { concatBytes, toHex } from '../../../src/base/bytes.ts'
import { nodeCrypto, portableCrypto, type CryptoProvider } from '../../../src/crypto/aead.ts'
import { chooseCrypto, selfTest } from '../../../src/crypto/self-test.ts'
import { payloadOf } from '../../vectors/load.ts'

const PROVIDERS = [nodeCrypto, portableCrypto]
const KEY = payloadOf({ mul: 3, add: 1, length: 32 })
const NONCE = payloadOf({ mul: 5, add: 2, length: 12 })
const AAD = payloadOf({ mul: 7, add: 3, length: 4 })

for (const sealer of PROVIDERS) {
  for (const opener of PROVIDERS) {
    test(`${opener.name} opens what ${sealer.name} seals, at every length around a block and at the maximum`, () => {
      const key = opener.aead(KEY)
      for (const length of [0, 1, 15, 16, 17, 31, 32, 33, 34, 255, 256, 257, 1186, 4130, 65_569]) {
        const plaintext = payloadOf({ mul: 11, add: length, length })
        for (const aad of [AAD, new Uint8Array(0), payloadOf({ mul: 1, add: 0, length: 40 })]) {
          const sealed = seal(sealer, plaintext, aad)
          const opened = key.open(NONCE, aad, sealed)
          assert.ok(opened !== undefined, `${length} bytes`)
          assert.equal(toHex(opened), toHex(plaintext))
        }
      }
    })
  }
}

for (const provider of PROVIDERS) {
  test(`a changed bit anywhere, in nonce, additional data, ciphertext or tag, opens nothing (${provider.name})`, () => {
    const key = provider.aead(KEY)
    const sealed = seal(provider, payloadOf({ mul: 13, add: 7, length: 50 }))
    for (let i = 0; i < sealed.length; i++)
      assert.equal(key.open(NONCE, AAD, flipped(sealed, i)), undefined, `byte ${i}`)
    for (let i = 0; i < NONCE.length; i++)
      assert.equal(key.open(flipped(NONCE, i), AAD, sealed), undefined, `nonce byte ${i}`)
    for (let i = 0; i < AAD.length; i++)
      assert.equal(key.open(NONCE, flipped(AAD, i), sealed), undefined, `additional byte ${i}`)
    assert.equal(provider.aead(flipped(KEY, 31)).open(NONCE, AAD, sealed), undefined)
    assert.equal(key.open(NONCE, new Uint8Array(0), sealed), undefined)
  })

  test(`a truncated or extended frame does not open, nor one with a four-byte tag (${provider.name})`, () => {
    const key = provider.aead(KEY)
    const sealed = seal(provider, payloadOf({ mul: 13, add: 7, length: 20 }))
    for (let length = 0; length < sealed.length; length++)
      assert.equal(key.open(NONCE, AAD, sealed.subarray(0, length)), undefined, `${length} bytes`)
    assert.equal(key.open(NONCE, AAD, concatBytes(sealed, new Uint8Array(1))), undefined)
  })

  test(`sealing writes exactly at its place, and the plaintext may already be there (${provider.name})`, () => {
    const plaintext = payloadOf({ mul: 17, add: 9, length: 100 })
    const expected = seal(provider, plaintext)
    const out = new Uint8Array(140).fill(0xee)
    out.set(plaintext, 10)
    assert.equal(provider.aead(KEY).seal(NONCE, AAD, out.subarray(10, 110), out, 10), 116)
    assert.equal(toHex(out), 'ee'.repeat(10) + toHex(expected) + 'ee'.repeat(14))
  })

  test(`the opened plaintext belongs to the caller (${provider.name})`, () => {
    const key = provider.aead(KEY)
    const sealed = seal(provider, payloadOf({ mul: 1, add: 0, length: 64 }))
    const copy = sealed.slice()
    const first = key.open(NONCE, AAD, sealed)
    const second = key.open(NONCE, AAD, sealed)
    assert.ok(first && second)
    first.fill(0)
    assert.equal(toHex(second), toHex(payloadOf({ mul: 1, add: 0, length: 64 })))
    assert.equal(toHex(sealed), toHex(copy), 'and what was sealed is untouched')
  })

  test(`the key is copied, must have 32 bytes, and is never printed (${provider.name})`, async () => {
    for (const length of [0, 16, 24, 31, 33]) assert.throws(() => provider.aead(new Uint8Array(length)), RangeError)
    const borrowed = KEY.slice()
    const key = provider.aead(borrowed)
    borrowed.fill(0)
    const { inspect } = await import('node:util')
    const shown = inspect(key, { showHidden: true, depth: 5 }) + JSON.stringify(key)
    assert.doesNotMatch(shown, /Uint8Array|\d{2}, \d/)
    assert.ok(key.open(NONCE, AAD, seal(provider, AAD)))
  })

  test(`the self test passes quickly (${provider.name})`, () => {
    const before = performance.now()
    assert.equal(selfTest(provider), undefined)
    assert.ok(performance.now() - before < 200, 'aimed at 20 ms, with room for a busy machine')
  })
}

test('node:crypto is chosen here', () => {
  assert.equal(chooseCrypto(), nodeCrypto)
})

for (const [what, nonces] of Object.entries({
  'a counter': [0, 1, 2, 3, 4],
  'carries of a counter': [0xfffe, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000],
  'gaps and steps back': [7, 9, 8, 8, 200, 3],
  'the end of the counter': [Number.MAX_SAFE_INTEGER - 1, 0xffff_ffff, 5],
})) {
  test(`state prepared for the next nonce serves only that nonce: ${what}`, () => {
    const [key, opener, oracle] = [nodeCrypto.aead(KEY), nodeCrypto.aead(KEY), portableCrypto.aead(KEY)]
    key.prepare() // nothing was used yet: nothing counts on
    for (const [i, counter] of nonces.entries()) {
      const nonce = NONCE.slice()
      new DataView(nonce.buffer).setBigUint64(4, BigInt(counter))
      const plaintext = payloadOf({ mul: 11, add: i, length: 60 })
      const aad = i % 3 === 2 ? flipped(AAD, 1) : AAD
      const [sealed, expected] = [new Uint8Array(76), new Uint8Array(76)]
      key.seal(nonce, aad, plaintext, sealed, 0)
      oracle.seal(nonce, aad, plaintext, expected, 0)
      assert.equal(toHex(sealed), toHex(expected), `nonce ${counter}`)
      if (i % 2 === 1)
        assert.equal(
          opener.open(nonce, aad, flipped(sealed, 70)),
          undefined,
          'a forgery uses up the prepared state, and nothing else',
        )
      assert.equal(toHex(opener.open(nonce, aad, sealed)!), toHex(plaintext), `nonce ${counter}`)
      key.prepare()
      opener.prepare()
    }
  })
}

test('the self test finds an implementation that is wrong, accepts anything, or throws', () => {
  const real = portableCrypto.aead
  const broken: Record<string, CryptoProvider> = {
    'wrong key': { name: 'node', aead: (key) => real(flipped(key, 0)) },
    'accepts anything': {
      name: 'node',
      aead: (key) => ({
        ...methods(key),
        open: (nonce, aad, sealed) => real(key).open(nonce, aad, sealed) ?? new Uint8Array(0),
      }),
    },
    'ignores the additional data': {
      name: 'node',
      aead: (key) => ({
        ...methods(key),
        seal: (nonce, _aad, plaintext, out, at) => real(key).seal(nonce, new Uint8Array(0), plaintext, out, at),
      }),
    },
    throws: {
      name: 'node',
      aead: () => {
        throw new Error('no such cipher')
      },
    },
  }
  for (const [name, provider] of Object.entries(broken)) assert.equal(typeof selfTest(provider), 'string', name)
})

function methods(key: Uint8Array): ReturnType<CryptoProvider['aead']> {
  const real = portableCrypto.aead(key)
  return {
    seal: (nonce, aad, plaintext, out, at) => real.seal(nonce, aad, plaintext, out, at),
    sealApart: (nonce, aad, plaintext, pieces) => real.sealApart(nonce, aad, plaintext, pieces),
    open: (nonce, aad, sealed) => real.open(nonce, aad, sealed),
    prepare: () => real.prepare(),
  }
}

function seal(provider: CryptoProvider, plaintext: Uint8Array, aad: Uint8Array = AAD): Uint8Array {
  const out = new Uint8Array(plaintext.length + 16)
  const key = provider.aead(KEY)
  assert.equal(key.seal(NONCE, aad, plaintext, out, 0), out.length)
  const pieces: Uint8Array[] = []
  key.sealApart(NONCE, aad, plaintext, pieces)
  assert.equal(toHex(concatBytes(...pieces)), toHex(out), 'in pieces the result is the same')
  return out
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice()
  copy[at]! ^= 1 << (at % 8)
  return copy
}
