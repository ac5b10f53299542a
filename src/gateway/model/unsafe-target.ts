/**
 * Targets that give a peer more than the person who exposes them is likely to intend: the metadata service of a cloud
 * machine gives out its credentials, a container engine's socket gives root. An exposure reaches them only with
 * `unsafe-target`. Other machines and sockets need no flag, but have to be written in full.
 */
import { BlockList, isIPv6 } from 'node:net'
import { basename } from 'node:path'
import { PilotError } from '../../base/errors.ts'
import type { ExposeSpec } from './expose-spec.ts'

/** @throws PilotError USAGE for an exposure of such a target without the flag. */
export function checkTarget({
  name,
  target,
  unsafeTarget,
}: Pick<ExposeSpec, 'name' | 'target' | 'unsafeTarget'>): void {
  const why = unsafeTarget === true ? undefined : dangerOf(target)
  if (why === undefined) return
  throw new PilotError(
    'USAGE',
    `exposure ${name}: ${target.text} is ${why}`,
    { name, target: target.text },
    undefined,
    'If peers are meant to reach it, add ",unsafe-target" to the exposure, or "unsafeTarget: true" in the configuration file; and say with allow= which ones.',
  )
}

/** By address, whatever name led there. */
export function isUnsafeAddress(address: string): boolean {
  return BLOCKED.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

function dangerOf(target: ExposeSpec['target']): string | undefined {
  if (target.kind === 'unix')
    return CONTROL_SOCKETS.has(basename(target.path)) ? 'a socket that controls this machine' : undefined
  return /^[\d.]+$|:/.test(target.host) && isUnsafeAddress(target.host)
    ? 'a link-local, metadata or multicast address'
    : undefined
}

const BLOCKED = new BlockList()
BLOCKED.addSubnet('169.254.0.0', 16, 'ipv4') // link-local (RFC 3927), with the metadata services of most clouds
BLOCKED.addSubnet('fe80::', 10, 'ipv6')
BLOCKED.addAddress('fd00:ec2::254', 'ipv6') // EC2
BLOCKED.addAddress('100.100.100.200', 'ipv4') // Alibaba Cloud
BLOCKED.addAddress('192.0.0.192', 'ipv4') // Oracle Cloud
BLOCKED.addSubnet('224.0.0.0', 4, 'ipv4') // multicast
BLOCKED.addSubnet('ff00::', 8, 'ipv6')
BLOCKED.addAddress('255.255.255.255', 'ipv4')

const CONTROL_SOCKETS: ReadonlySet<string> = new Set([
  'admin.sock', // our own
  'buildkitd.sock',
  'containerd.sock',
  'crio.sock',
  'docker.sock',
  'libvirt-sock',
  'podman.sock',
  'snapd.socket',
  'system_bus_socket',
])
