/**
 * Runs a program, and all that it starts, in a network namespace of its own: loopback, and one way out that leads into
 * nothing but is counted. Programs of the reference have public hosts as defaults: whatever tries to reach one shows in
 * the counter, and reaches nobody.
 */
import { run } from './lib.mjs'

/** The device that everything takes which is not meant for loopback; test/interop/containment.ts reads its counter. */
const WAY_OUT = 'out'

/** Addresses for documentation (RFC 5737). The far end of the pair has none, and its neighbour is named: no ARP. */
const SET_UP = `set -e
ip link set lo up
ip link add ${WAY_OUT} type veth peer name sink
sysctl -q -w net.ipv6.conf.${WAY_OUT}.disable_ipv6=1 net.ipv6.conf.sink.disable_ipv6=1
ip addr add 192.0.2.2/24 dev ${WAY_OUT}
ip link set sink up
ip link set ${WAY_OUT} up
ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev ${WAY_OUT} nud permanent
ip route add default via 192.0.2.1 dev ${WAY_OUT}
exec "$0" "$@"`

/** @returns how to run a command contained: a function of its arguments; undefined, with the reason printed, if that is not possible here. */
export async function containment() {
  const isRoot = process.getuid?.() === 0
  const flags = isRoot ? ['--net'] : ['--net', '--user', '--map-root-user']
  const wrap = (command, args) => ['unshare', [...flags, 'sh', '-c', SET_UP, command, ...args]]
  const code = await run(...wrap('true', []), { timeoutMs: 20_000, stdout: 'ignore' }).catch(() => 1)
  if (code === 0) return wrap
  console.error('note: no network namespace can be made here (unshare, ip): the reference programs of today do not run')
  return undefined
}

export const CONTAINED_ENV = { PILOTGATE_WAY_OUT: WAY_OUT }
