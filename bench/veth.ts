/** Two network namespaces joined by one veth pair of MTU 1500, with optional loss by iptables. Linux, root. */
import { execFileSync, spawnSync } from 'node:child_process'
import { findProgram } from '../test/e2e/program.ts'
import { inside } from '../test/nat/lab.ts'
import type { Spot } from './crew.ts'

export class Veth {
  readonly near: Required<Spot>
  readonly far: Required<Spot>
  #loss: string | undefined
  #hasOffload = true

  constructor() {
    const prefix = `pgb${process.pid.toString(36)}`
    this.near = { namespace: `${prefix}n`, host: '10.99.0.1' }
    this.far = { namespace: `${prefix}f`, host: '10.99.0.2' }
    open.add(this)
    for (const { namespace } of [this.near, this.far]) ip('netns', 'add', namespace)
    ip(
      'link',
      'add',
      DEVICE,
      'mtu',
      '1500',
      'netns',
      this.near.namespace,
      'type',
      'veth',
      'peer',
      'name',
      DEVICE,
      'mtu',
      '1500',
      'netns',
      this.far.namespace,
    )
    for (const { namespace, host } of [this.near, this.far]) {
      inside(namespace, 'ip', 'addr', 'add', `${host}/24`, 'dev', DEVICE)
      for (const device of [DEVICE, 'lo']) inside(namespace, 'ip', 'link', 'set', device, 'up')
    }
  }

  /** Whether TCP passes in pieces of up to 64 KB, and UDP in runs. Without ethtool it always does. */
  offload(wanted: boolean): void {
    const ethtool = findProgram('ethtool')
    if (ethtool === undefined || this.#hasOffload === wanted) return
    const state = wanted ? 'on' : 'off'
    for (const { namespace } of [this.near, this.far])
      inside(namespace, ethtool, '-K', DEVICE, ...OFFLOADS.flatMap((name) => [name, state]))
    this.#hasOffload = wanted
  }

  /** @param probability '0' for none; each packet that comes in is dropped with it, on both sides. */
  lose(probability: string): void {
    if (this.#loss === probability) return
    for (const { namespace } of [this.near, this.far]) {
      inside(namespace, 'iptables', '-F', 'INPUT')
      if (Number(probability) > 0)
        inside(
          namespace,
          'iptables',
          '-A',
          'INPUT',
          '-i',
          DEVICE,
          '-m',
          'statistic',
          '--mode',
          'random',
          '--probability',
          probability,
          '-j',
          'DROP',
        )
    }
    this.#loss = probability
  }

  /** Ends every process inside and removes the namespaces. Idempotent. */
  close(): void {
    if (!open.delete(this)) return
    for (const { namespace } of [this.near, this.far]) {
      const pids =
        spawnSync(findProgram('ip')!, ['netns', 'pids', namespace], { encoding: 'utf8', timeout: COMMAND_MS }).stdout ??
        ''
      for (const pid of pids.split('\n').map(Number)) if (pid > 0) kill(pid)
      spawnSync(findProgram('ip')!, ['netns', 'del', namespace], { stdio: 'ignore', timeout: COMMAND_MS })
    }
  }
}

function ip(...args: readonly string[]): void {
  execFileSync(findProgram('ip')!, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: COMMAND_MS })
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    /* it has ended meanwhile */
  }
}

const DEVICE = 'bench0'
const OFFLOADS = ['tso', 'gso', 'gro', 'tx-udp-segmentation']
const COMMAND_MS = 10_000
const open = new Set<Veth>()
process.on('exit', () => {
  for (const veth of open) veth.close()
})
