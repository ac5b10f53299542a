/**
 * Small internets inside the kernel: network namespaces, veth pairs, routes, iptables. One namespace in the middle
 * routes between sites; a site is a host, or a host behind NATs or a firewall. Names are unique to the run, and
 * everything is removed when the lab closes, or when the test process ends, however it ends.
 *
 *   rv ── inet ── a's NAT ── a's second NAT ── a          each line a veth pair, each name a namespace
 *            └─── b's NAT ── b
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { findProgram } from '../e2e/program.ts'

export type Box =
  | 'cone' // MASQUERADE: keeps ports; admits only replies
  | 'symmetric' // MASQUERADE --random-fully: another port for each destination
  | 'firewall' // no NAT; admits only replies

export interface SiteOptions {
  readonly boxes?: readonly Box[] // from the outside inwards
  readonly mtu?: number // MTU of the site's link to the middle
  readonly hostMtu?: number // of the host's own interface; default: the same
  readonly ipv6?: boolean // also a global address, without any box; only for public hosts
}

export interface Site {
  readonly name: string
  readonly host: string // namespace of the programs
  readonly gateway: string // outermost namespace: a NAT, or the host itself
  readonly outside: string // address seen from outside
  readonly address: string // of the host's own interface
  readonly via: string // the host's way out
  readonly device: string // the host's interface
  readonly outerDevice: string // its other end, in the namespace the host is linked to
  readonly router: string // that namespace
}

/** Why no lab can be built here; undefined if one can. */
export function whyNoLab(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces exist only on Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  for (const program of ['ip', 'iptables'])
    if (findProgram(program) === undefined) return `there is no ${program} on this machine`
  const name = `pgprobe${process.pid}`
  try {
    ip('netns', 'add', name)
    inside(name, 'iptables', '-t', 'nat', '-A', 'POSTROUTING', '-j', 'MASQUERADE', '--random-fully')
    return undefined
  } catch (error) {
    return `namespaces or iptables are not permitted here: ${error instanceof Error ? (error.message.split('\n').at(-2) ?? error.message) : String(error)}`
  } finally {
    spawnSync(findProgram('ip')!, ['netns', 'del', name], { stdio: 'ignore' })
  }
}

export class Lab {
  readonly middle: string
  readonly #prefix: string
  readonly #namespaces: string[] = []
  #sites = 0
  #links = 0

  constructor() {
    this.#prefix = `pg${process.pid.toString(36)}${(labs++).toString(36)}`
    open.add(this)
    this.middle = this.#namespace('inet')
    this.sysctl(this.middle, 'net.ipv4.ip_forward=1')
  }

  /** Behind these boxes, or, without any, a public host. */
  site(name: string, { boxes = [], mtu = 1_500, hostMtu = mtu, ipv6 = false }: SiteOptions = {}): Site {
    const index = this.#sites++
    const net = `203.0.${index + 1}`
    let [outer, outerDevice, outerAddress] = [this.middle, '', `${net}.1`] // the namespace the next one is linked to
    let gateway = ''
    let [outside, address, via, device, outerDeviceOfHost, router] = ['', '', '', '', '', '']
    const chain = [...boxes, 'host' as const]
    for (const [depth, kind] of chain.entries()) {
      const isHost = kind === 'host'
      const namespace = this.#namespace(isHost ? name : `${name}${depth}`)
      const subnet =
        depth === 0 ? `${net}` : boxes[depth - 1] === 'firewall' ? `198.51.${index + 1}` : `10.${index + 1}.${depth}`
      const [up, down] = [`${subnet}.1`, `${subnet}.2`]
      const devices = this.#link(
        outer,
        `${up}/24`,
        namespace,
        `${down}/24`,
        isHost ? hostMtu : mtu,
        depth === 0 ? mtu : hostMtu,
      )
      inside(namespace, 'ip', 'route', 'add', 'default', 'via', up)
      if (depth === 0) [gateway, outside] = [namespace, down]
      else this.#guard(outer, outerDevice, boxes[depth - 1]!)
      if (depth > 0 && boxes[depth - 1] === 'firewall') {
        inside(this.middle, 'ip', 'route', 'add', `${subnet}.0/24`, 'via', `${net}.2`)
        outside = down
      }
      if (ipv6) this.#addIpv6(index, outer, devices.outer, namespace, devices.inner)
      ;[router, outerDeviceOfHost] = [outer, devices.outer]
      ;[outer, outerDevice, outerAddress] = [namespace, devices.inner, down]
      ;[address, via, device] = [outerAddress, up, devices.inner]
    }
    return { name, host: outer, gateway, outside, address, via, device, outerDevice: outerDeviceOfHost, router }
  }

  /** The middle drops everything that matches the rule; call the result to remove it. */
  drop(...rule: readonly string[]): () => void {
    inside(this.middle, 'iptables', '-I', 'FORWARD', ...rule, '-j', 'DROP')
    return () => inside(this.middle, 'iptables', '-D', 'FORWARD', ...rule, '-j', 'DROP')
  }

  /** The host gets another address on its own network, as when roaming to another access point. */
  readdress(site: Site, last = 77): void {
    inside(site.host, 'ip', 'addr', 'flush', 'dev', site.device, 'scope', 'global')
    inside(site.host, 'ip', 'addr', 'add', `${site.address.replace(/\.2$/, `.${last}`)}/24`, 'dev', site.device)
    inside(site.host, 'ip', 'route', 'replace', 'default', 'via', site.via)
  }

  /** The router's end of the host's link: the host keeps its address and loses its carrier. */
  link(site: Site, state: 'up' | 'down'): void {
    inside(site.router, 'ip', 'link', 'set', site.outerDevice, state)
  }

  /** Sets the MTU of the router's interface to the host; if it is too small, packets are lost here. */
  mtu(site: Site, bytes: number): void {
    inside(site.router, 'ip', 'link', 'set', site.outerDevice, 'mtu', String(bytes))
  }

  sysctl(namespace: string, setting: string): void {
    inside(namespace, 'sysctl', '-q', '-w', setting)
  }

  /** IP datagrams fragmented by any kernel of the lab since it began. */
  get fragmentsCreated(): number {
    let sum = 0
    for (const namespace of this.#namespaces) {
      const [names, values] = inside(namespace, 'cat', '/proc/net/snmp')
        .split('\n')
        .filter((line) => line.startsWith('Ip:'))
        .map((line) => line.split(' '))
      sum += Number(values![names!.indexOf('FragCreates')])
    }
    return sum
  }

  /** Ends every process inside and removes the namespaces. Idempotent. */
  close(): void {
    if (!open.delete(this)) return
    for (const namespace of this.#namespaces) {
      const pids =
        spawnSync(findProgram('ip')!, ['netns', 'pids', namespace], { encoding: 'utf8', timeout: COMMAND_MS }).stdout ??
        ''
      for (const pid of pids.split('\n').map(Number)) if (pid > 0) kill(pid)
      spawnSync(findProgram('ip')!, ['netns', 'del', namespace], { stdio: 'ignore', timeout: COMMAND_MS })
    }
  }

  #namespace(label: string): string {
    const name = `${this.#prefix}${label}`
    ip('netns', 'add', name)
    this.#namespaces.push(name)
    inside(name, 'ip', 'link', 'set', 'lo', 'up')
    if (label !== 'inet') this.sysctl(name, 'net.ipv4.ip_forward=1')
    return name
  }

  #link(
    outer: string,
    outerAddress: string,
    inner: string,
    innerAddress: string,
    innerMtu: number,
    outerMtu: number,
  ): { outer: string; inner: string } {
    const id = this.#links++
    const [a, b] = [`o${id}`, `i${id}`]
    ip(
      'link',
      'add',
      a,
      'mtu',
      String(outerMtu),
      'netns',
      outer,
      'type',
      'veth',
      'peer',
      'name',
      b,
      'mtu',
      String(innerMtu),
      'netns',
      inner,
    )
    inside(outer, 'ip', 'addr', 'add', outerAddress, 'dev', a)
    inside(inner, 'ip', 'addr', 'add', innerAddress, 'dev', b)
    inside(outer, 'ip', 'link', 'set', a, 'up')
    inside(inner, 'ip', 'link', 'set', b, 'up')
    return { outer: a, inner: b }
  }

  #addIpv6(index: number, outer: string, outerDevice: string, inner: string, innerDevice: string): void {
    const net = `2001:db8:${(index + 1).toString(16)}`
    this.sysctl(this.middle, 'net.ipv6.conf.all.forwarding=1')
    inside(outer, 'ip', '-6', 'addr', 'add', `${net}::1/64`, 'dev', outerDevice, 'nodad')
    inside(inner, 'ip', '-6', 'addr', 'add', `${net}::2/64`, 'dev', innerDevice, 'nodad')
    inside(inner, 'ip', '-6', 'route', 'add', 'default', 'via', `${net}::1`)
  }

  /**
   * Unsolicited traffic is silently dropped. It must be DROP: REJECT would leave a connection-tracking entry for the
   * peer's punch, and our own datagram to the peer would then be given another port.
   */
  #guard(namespace: string, outDevice: string, box: Box): void {
    const table = (...rule: readonly string[]): string => inside(namespace, 'iptables', ...rule)
    if (box !== 'firewall')
      table(
        '-t',
        'nat',
        '-A',
        'POSTROUTING',
        '-o',
        outDevice,
        '-j',
        'MASQUERADE',
        ...(box === 'symmetric' ? ['--random-fully'] : []),
      )
    for (const chain of ['INPUT', 'FORWARD']) {
      table('-A', chain, '-i', outDevice, '-m', 'conntrack', '--ctstate', 'ESTABLISHED,RELATED', '-j', 'ACCEPT')
      table('-A', chain, '-i', outDevice, '-j', 'DROP')
    }
  }
}

/** Runs a program in a namespace. @returns its output. @throws if it fails, with its error output. */
export function inside(namespace: string, program: string, ...args: readonly string[]): string {
  return ip('netns', 'exec', namespace, findProgram(program) ?? program, ...args)
}

/** Command and arguments of a long-lived process in a namespace. */
export function insideCommand(namespace: string, args: readonly string[]): [string, string[]] {
  return [findProgram('ip')!, ['netns', 'exec', namespace, ...args]]
}

function ip(...args: readonly string[]): string {
  return execFileSync(findProgram('ip')!, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: COMMAND_MS,
  })
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    /* it has ended in the meantime */
  }
}

const COMMAND_MS = 10_000
let labs = 0
/** Labs this process has not closed: removed on exit. program.ts turns signals into an exit. */
const open = new Set<Lab>()
process.on('exit', () => {
  for (const lab of open) lab.close()
})
