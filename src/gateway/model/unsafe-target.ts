/**
 * Targets that give a peer more than the person who exposes them is likely to intend: the metadata service of a cloud
 * machine gives out its credentials, a container engine's socket gives root. An exposure reaches them only with
 * `unsafe-target`. Other machines and sockets need no flag, but have to be written in full.
 */
import { BlockList, isIPv6 } from 'node:net'
import { basename } from 'node:path'
import { PilotError } from '../../base/errors.ts'
import { translatedIpv4 } from '../../wire/ip-address.ts'
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

/** By address, whatever name led there; also by an IPv6 address that a translator turns into such an IPv4 address. */
export function isUnsafeAddress(address: string): boolean {
  if (!isIPv6(address)) return BLOCKED.check(address, 'ipv4')
  const translated = translatedIpv4(address)
  return BLOCKED.check(address, 'ipv6') || (translated !== undefined && BLOCKED.check(translated, 'ipv4'))
}

/** By the name of the socket itself, whatever links lead there. */
export function isControlSocket(path: string): boolean {
  return CONTROL_SOCKETS.has(basename(path)) || path.endsWith(SYSTEMD_SOCKET)
}

function dangerOf(target: ExposeSpec['target']): string | undefined {
  if (target.kind === 'folder') return target.path === '/' ? 'the whole file system' : undefined
  if (target.kind === 'exec') return undefined
  if (target.kind === 'unix') return isControlSocket(target.path) ? 'a socket that controls this machine' : undefined
  return /^[\d.]+$|:/.test(target.host) && isUnsafeAddress(target.host)
    ? 'a link-local, metadata or multicast address'
    : undefined
}

const BLOCKED = new BlockList()
BLOCKED.addSubnet('169.254.0.0', 16, 'ipv4') // link-local (RFC 3927), with the metadata services of most clouds
BLOCKED.addSubnet('fe80::', 10, 'ipv6')
BLOCKED.addAddress('fd00:ec2::254', 'ipv6') // EC2
BLOCKED.addAddress('fd20:ce::254', 'ipv6') // Google Cloud
BLOCKED.addAddress('100.100.100.200', 'ipv4') // Alibaba Cloud
BLOCKED.addAddress('168.63.129.16', 'ipv4') // Azure, WireServer
BLOCKED.addAddress('192.0.0.192', 'ipv4') // Oracle Cloud
BLOCKED.addSubnet('224.0.0.0', 4, 'ipv4') // multicast
BLOCKED.addSubnet('ff00::', 8, 'ipv6')
BLOCKED.addAddress('255.255.255.255', 'ipv4')

/** Of systemd: starts anything as root. */
const SYSTEMD_SOCKET = '/systemd/private'
const CONTROL_SOCKETS: ReadonlySet<string> = new Set([
  'admin.sock', // our own
  'buildkitd.sock',
  'containerd.sock',
  'cri-dockerd.sock',
  'crio.sock',
  'docker.sock',
  'libvirt-sock',
  'lxd.socket',
  'podman.sock',
  'snapd.socket',
  'system_bus_socket',
  'virtqemud-sock',
])
