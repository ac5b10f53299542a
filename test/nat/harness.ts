/**
 * Real programs in a lab's namespaces: one rendezvous, pairs of gateways that trust each other, transfers between them.
 */
import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import type { PeerRecord } from '../../src/gateway/model/records.ts'
import { Stage } from '../e2e/harness.ts'
import { MAIN, WAIT_MS } from '../e2e/program.ts'
import type { Program } from '../e2e/program.ts'
import { Lab, insideCommand } from './lab.ts'
import type { Site, SiteOptions } from './lab.ts'

export interface Fetched {
  readonly connectMs: number
  readonly firstByteMs: number
  readonly totalMs: number
  readonly bytes: number
  readonly sha256: string
  readonly error: string | null
}

export interface PairOptions {
  readonly bytes?: number
  readonly mapOptions?: string
  /** Bytes per second that the server offers; default: as fast as they are taken. */
  readonly rate?: number
  /** More for the gateway that maps, */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** and the addresses of its rendezvous, if not the usual ones. */
  readonly registry?: string
  readonly beacon?: string
}

/** One lab with its rendezvous in the open. */
export class Internet {
  readonly stage: Stage
  readonly lab: Lab
  readonly rendezvousSite: Site
  readonly rendezvous: Program
  readonly registry: string
  readonly beacon: string
  /** Where nodes without UDP connect. */
  readonly wss: string
  #count = 0

  private constructor(stage: Stage, lab: Lab, site: Site) {
    this.stage = stage
    this.lab = lab
    this.rendezvousSite = site
    this.registry = `${site.address}:9000`
    this.beacon = `${site.address}:9001`
    this.wss = `${site.address}:443`
    this.rendezvous = this.program(
      site,
      ['rendezvous', '--json', '--registry', this.registry, '--beacon', this.beacon, '--wss', this.wss],
      'rendezvous',
    )
  }

  static async start(mtu = 1_500): Promise<Internet> {
    const stage = await Stage.open()
    const lab = new Lab()
    stage.defer(async () => lab.close())
    try {
      const internet = new Internet(stage, lab, lab.site('rv', { mtu }))
      await internet.rendezvous.event('ready')
      return internet
    } catch (error) {
      await stage.close()
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.stage.close()
  }

  /** A pilotgate process at a site. */
  program(site: Site, args: readonly string[], label: string, env: Readonly<Record<string, string>> = {}): Program {
    const [command, all] = insideCommand(site.host, [process.execPath, MAIN, ...args])
    return this.stage.spawn(command, all, { label, env })
  }

  /**
   * Two sites with a gateway each: b serves `bytes` bytes on port 80, a maps that port. `prepare` runs before the
   * gateways start.
   */
  async pair(
    a: SiteOptions,
    b: SiteOptions,
    options: PairOptions = {},
    prepare: (a: Site, b: Site) => void = () => {},
  ): Promise<NatPair> {
    const number = ++this.#count
    const [siteA, siteB] = [this.lab.site(`a${number}`, a), this.lab.site(`b${number}`, b)]
    prepare(siteA, siteB)
    const bytes = options.bytes ?? TRANSFER_BYTES
    const rate = options.rate === undefined ? [] : [String(options.rate)]
    const server = this.#script(siteB, ['serve', '127.0.0.1', '0', String(bytes), ...rate])
    const port = Number((await server.event('listening'))['port'])
    const [nameA, nameB] = [`a-${number}`, `b-${number}`]
    const listen = (site: SiteOptions): string[] => (site.ipv6 === true ? ['--listen', '[::]:0'] : [])
    const gatewayB = new NatGateway(this, siteB, nameB, [
      ...listen(b),
      '--trust',
      nameA,
      '--expose',
      `80=127.0.0.1:${port}`,
    ])
    const gatewayA = new NatGateway(
      this,
      siteA,
      nameA,
      [
        ...listen(a),
        '--trust',
        nameB,
        '--map',
        `127.0.0.1:8080:${nameB}:80${options.mapOptions ?? ''}`,
        ...(options.args ?? []),
      ],
      options,
    )
    await Promise.all([gatewayA.program.event('ready'), gatewayB.program.event('ready')])
    return new NatPair(this, gatewayA, gatewayB, bytes)
  }

  /** test/nat/peer.mjs at a site. */
  script(site: Site, args: readonly string[]): Program {
    return this.#script(site, args)
  }

  #script(site: Site, args: readonly string[]): Program {
    const [command, all] = insideCommand(site.host, [process.execPath, SCRIPT, ...args])
    return this.stage.spawn(command, all, { label: `peer.mjs ${args.join(' ')}` })
  }
}

export class NatGateway {
  readonly site: Site
  readonly name: string
  readonly program: Program
  readonly admin: string
  readonly #internet: Internet

  constructor(
    internet: Internet,
    site: Site,
    name: string,
    args: readonly string[],
    {
      registry = internet.registry,
      beacon = internet.beacon,
      env = {},
    }: Pick<PairOptions, 'registry' | 'beacon' | 'env'> = {},
  ) {
    this.#internet = internet
    this.site = site
    this.name = name
    const stateDir = internet.stage.path(name)
    this.admin = join(stateDir, 'admin.sock')
    this.program = internet.program(
      site,
      [
        'up',
        '--json',
        '-v',
        '--registry',
        registry,
        '--beacon',
        beacon,
        '--hostname',
        name,
        '--state-dir',
        stateDir,
        ...args,
      ],
      name,
      env,
    )
  }

  /** GET on the admin socket: Unix sockets are not bound to network namespaces. */
  async ask<T>(path: string): Promise<T> {
    return await new Promise((resolve, reject) => {
      const call = request(
        { socketPath: this.admin, path: `/v1/${path}`, agent: false, timeout: WAIT_MS },
        (response) => {
          const parts: Buffer[] = []
          response.on('data', (part: Buffer) => parts.push(part))
          response.on('end', () => resolve(JSON.parse(Buffer.concat(parts).toString('utf8')) as T))
        },
      )
      call.on('error', reject)
      call.end()
    })
  }

  async peer(name: string): Promise<PeerRecord | undefined> {
    return (await this.ask<PeerRecord[]>('peers')).find((peer) => peer.hostname === name)
  }

  /** A pilotgate command for this gateway: the --json data. */
  async json<T>(...args: readonly string[]): Promise<T> {
    const program = this.#internet.program(
      this.site,
      [...args, '--json', '--admin', this.admin],
      `pilotgate ${args.join(' ')}`,
    )
    await program.ended(40_000)
    const line = JSON.parse(program.stdout) as { readonly data: T }
    if (line.data === undefined) throw new Error(`pilotgate ${args.join(' ')}: ${program.stdout}`)
    return line.data
  }
}

export class NatPair {
  readonly a: NatGateway
  readonly b: NatGateway
  readonly bytes: number
  readonly #internet: Internet

  constructor(internet: Internet, a: NatGateway, b: NatGateway, bytes: number) {
    this.#internet = internet
    this.a = a
    this.b = b
    this.bytes = bytes
  }

  async trusted(): Promise<void> {
    const approved = (gateway: NatGateway, peer: string): Promise<unknown> =>
      gateway.program.event('trust', (event) => event['peer'] === peer && event['state'] === 'approved')
    await Promise.all([approved(this.a, this.b.name), approved(this.b, this.a.name)])
  }

  /** One connection through the mapping, from the first SYN to the last byte; continues in the background. */
  begin(timeoutMs = 60_000): Program {
    return this.#internet.script(this.a.site, ['fetch', '127.0.0.1', '8080', String(timeoutMs)])
  }

  async fetch(timeoutMs = 60_000): Promise<Fetched> {
    return await fetched(this.begin(timeoutMs), timeoutMs)
  }

  /** Both gateways end; their sites stay. */
  async stop(): Promise<void> {
    await Promise.all([this.a.program.kill(), this.b.program.kill()])
  }
}

export async function fetched(program: Program, timeoutMs = 60_000): Promise<Fetched> {
  return (await program.event('fetched', () => true, timeoutMs + 5_000)) as unknown as Fetched
}

/** Digest of what the server of `bytes` bytes sends; an echo has no `!` in front. */
export function expectedDigest(bytes: number, first = '!'): string {
  const pattern = createHash('sha512').update('pilotgate').digest()
  const hash = createHash('sha256').update(first)
  for (let index = 0; index * BLOCK_BYTES < bytes; index++) {
    const block = Buffer.alloc(Math.min(BLOCK_BYTES, bytes - index * BLOCK_BYTES), pattern)
    block.writeUInt32BE(index, 0)
    hash.update(block)
  }
  return hash.digest('hex')
}

export const TRANSFER_BYTES = 16 * 1_048_576
const BLOCK_BYTES = 65_536
const SCRIPT = fileURLToPath(new URL('peer.mjs', import.meta.url))
