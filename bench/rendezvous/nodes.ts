/** Nodes that a rendezvous knows, without running any: their keys, their signed requests, and their records in a store. */
import { createIdentity, type Identity } from '../../src/crypto/identity.ts'
import { Directory } from '../../src/server/registry/directory.ts'
import type { RegistryStore } from '../../src/server/store/store.ts'
import { openLmdbStore } from '../../src/server/store/lmdb-store.ts'
import { toBase64, utf8 } from '../../src/base/bytes.ts'
import { challenges } from '../../src/wire/registry-messages.ts'

/** The same key for the same number: the store and the load agree. */
export function identityOf(node: number): Identity {
  const known = identities.get(node)
  if (known !== undefined) return known
  const seed = new Uint8Array(32).fill(7)
  new DataView(seed.buffer).setUint32(0, node)
  const identity = createIdentity(seed)
  identities.set(node, identity)
  return identity
}

export function heartbeat(node: number, identity: Identity): object {
  return { type: 'heartbeat', node_id: node, signature: signed(identity, challenges.heartbeat(node)) }
}

export function pollHandshakes(node: number, identity: Identity): object {
  return { type: 'poll_handshakes', node_id: node, signature: signed(identity, challenges.pollHandshakes(node)) }
}

export function register(node: number, identity: Identity): object {
  const listen = `0.0.0.0:${20_000 + (node % 40_000)}`
  const key = identity.publicKeyBase64
  const signature = signed(identity, challenges.register(listen, key))
  return { type: 'register', listen_addr: listen, public_key: key, signature }
}

export function resolve(from: number, identity: Identity, to: number): object {
  const signature = signed(identity, challenges.resolve(from, to))
  return { type: 'resolve', requester_id: from, node_id: to, signature }
}

/** Writes `count` public nodes that have signed, with ids from 1; of the first `real` the keys are those of identityOf. */
export async function fillStore(folder: string, count: number, real: number): Promise<void> {
  const store = await openLmdbStore(folder)
  const changed = new Map<string, object>() // each record is written once, not at every step of its making
  const directory = new Directory({
    ...IN_MEMORY,
    put: (key, value) => void changed.set(key, value),
  })
  const began = Date.now() - count * MS_PER_ACCOUNT
  for (let node = 1; node <= count; node++) {
    const now = began + node * MS_PER_ACCOUNT
    const account = directory.createAccount(
      now,
      node <= real ? identityOf(node).publicKeyBase64 : madeUp(node),
      '',
      true,
    )!
    directory.noteSigned(account)
    const endpoint = `10.${(node >> 16) & 255}.${(node >> 8) & 255}.${node & 255}:${20_000 + (node % 40_000)}`
    const live = directory.createLive(now, account, {
      endpoint,
      udpAddress: '',
      lanEndpoints: [],
      relayOnly: false,
      extended: true,
      version: '',
    })
    live.public = true
    directory.setHostname(now, live, `node-${node}`)
    if (node % 10_000 !== 0 && node !== count) continue
    for (const [key, value] of changed) store.put(key, value)
    changed.clear()
    await store.flushed()
  }
  await store.close()
}

function madeUp(node: number): string {
  const key = new Uint8Array(32).fill(9)
  new DataView(key.buffer).setUint32(0, node)
  return toBase64(key)
}

function signed(identity: Identity, text: string): string {
  return toBase64(identity.sign(utf8(text)))
}

const IN_MEMORY: RegistryStore = {
  load: () => [],
  put: () => {},
  delete: () => {},
  flushed: async () => {},
  close: async () => {},
}
const MS_PER_ACCOUNT = 20 // slower than the budget for new keys
const identities = new Map<number, Identity>()
