/**
 * Assigns loopback addresses to peers, the same at every start. An address is derived from our key and the peer's name,
 * so that two gateways on one machine seldom want the same, and saved, so that it is stable even if two names collide.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import { join } from 'node:path'
import { PilotError } from '../../base/errors.ts'
import { writeFileAtomically } from '../../runtime/files/atomic.ts'

export class LoopbackPool {
  readonly #path: string
  readonly #seed: string
  readonly #addresses: Map<string, string> // peer as written → 127.77.x.y
  readonly #peers: Map<string, string> // the other way round
  readonly #fresh = new Set<string>() // peers whose address was not shown yet: it may still change

  private constructor(path: string, seed: string, addresses: Map<string, string>) {
    this.#path = path
    this.#seed = seed
    this.#addresses = addresses
    this.#peers = new Map([...addresses].map(([peer, address]) => [address, peer]))
  }

  /** @throws PilotError FAILED if the file exists and is not ours. */
  static async open(stateDir: string, publicKey: string): Promise<LoopbackPool> {
    const path = join(stateDir, 'loopback.json')
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new LoopbackPool(path, publicKey, new Map())
      throw new PilotError('FAILED', `${path} cannot be read`, { path }, error)
    }
    return new LoopbackPool(path, publicKey, parse(text, path))
  }

  addressOf(peer: string): string {
    const known = this.#addresses.get(peer)
    if (known !== undefined) return known
    this.#fresh.add(peer)
    return this.#give(peer, 0)
  }

  /**
   * The address turned out to be in use by another program. @returns a new one, or undefined if it was already shown.
   */
  another(peer: string, attempt: number): string | undefined {
    if (!this.#fresh.has(peer) || attempt >= MAX_ATTEMPTS) return undefined
    this.#peers.delete(this.#addresses.get(peer)!)
    return this.#give(peer, attempt)
  }

  /** The peer of one of our addresses, as written. */
  peerAt(address: string): string | undefined {
    return this.#peers.get(address)
  }

  async save(): Promise<void> {
    if (this.#fresh.size === 0) return
    this.#fresh.clear()
    await writeFileAtomically(
      this.#path,
      `${JSON.stringify({ version: 1, peers: Object.fromEntries(this.#addresses) }, null, 2)}\n`,
    )
  }

  #give(peer: string, attempt: number): string {
    for (let salt = attempt; ; salt++) {
      const digest = createHash('sha256').update(`${this.#seed}\n${peer}\n${salt}`).digest()
      const address = `${PREFIX}${digest[0]!}.${1 + (digest[1]! % 254)}` // never .0 or .255, which some tools take for networks
      if (this.#peers.has(address)) continue
      this.#addresses.set(peer, address)
      this.#peers.set(address, peer)
      return address
    }
  }
}

function parse(text: string, path: string): Map<string, string> {
  const broken = (): PilotError =>
    new PilotError('FAILED', `${path}: not a table of loopback addresses; move it away to assign new ones`, { path })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw broken()
  }
  const peers = (value as { peers?: unknown } | null)?.peers
  if (typeof peers !== 'object' || peers === null) throw broken()
  const addresses = new Map<string, string>()
  for (const [peer, address] of Object.entries(peers)) {
    if (typeof address !== 'string' || !isPooled(address)) throw broken()
    addresses.set(peer, address)
  }
  return addresses
}

/** Whether an address belongs to the peers' range. */
export function isPooled(address: string): boolean {
  return address.startsWith(PREFIX) && isIPv4(address)
}

/** 127.77.0.0/16: loopback everywhere, and not used by anything else that we know of. */
const PREFIX = '127.77.'
const MAX_ATTEMPTS = 16
