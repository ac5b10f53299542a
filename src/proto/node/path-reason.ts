/**
 * The reason for the current path to a peer, in a sentence for people: what is known about both NATs, and what was
 * tried.
 */
import type { Instant } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { NatFiltering, NatMapping } from '../../wire/path-hello.ts'
import type { NodeState } from './state.ts'
import type { Peer } from './peer.ts'

/** @returns undefined while there is no tunnel. */
export function pathReason(state: NodeState, peer: Peer, now: Instant): string | undefined {
  const path = peer.paths.current
  if (!peer.connected || path === undefined) return undefined
  switch (path.kind) {
    case 'lan':
      return 'lan: the peer is on our network'
    case 'punched':
      return 'punched: both NATs drop unsolicited packets, and were opened at the same time'
    case 'direct':
      return `direct: ${directReason(state, peer)}`
    case 'relay':
      return state.way.current === 'tcp'
        ? `relay (tcp): ${state.way.transport === 'tcp' ? 'only TCP is allowed' : 'UDP is dropped between us and the beacon'}`
        : `relay: ${relayReason(state, peer, now)}`
  }
}

function directReason({ nat }: NodeState, { search }: Peer): string {
  const { hello } = search
  if (hello !== undefined && isOpen(hello)) return 'the peer accepts packets from anywhere'
  if (isOpen(nat)) return 'this node accepts packets from anywhere'
  return 'the peer answers at its known endpoint'
}

function relayReason(state: NodeState, peer: Peer, now: Instant): string {
  const { nat } = state
  const { hello, relayOnly } = peer.search
  const ways = peer.paths.all().filter(({ kind }) => kind !== 'relay')
  const partial = ways.find(({ sizeCheck }) => sizeCheck.failed)
  const lost = ways.find(({ answered, dead }) => answered && dead)
  if (relayOnly) return 'the peer asks to be reached through it'
  if (partial !== undefined)
    return `the ${partial.kind} path to ${formatEndpoint(partial.endpoint)} loses ${partial.sizeCheck.lost} packets; still probing it`
  if (lost !== undefined)
    return `the ${lost.kind} path to ${formatEndpoint(lost.endpoint)} has not answered for ${Math.round((now - lost.heardAt) / 1_000)} s; still probing it`
  if (hello !== undefined) {
    const [ours, theirs] = [isSymmetric(nat), isSymmetric(hello)]
    if (ours && theirs) return 'both NATs are symmetric'
    if (ours && hello.filtering !== 'port-independent')
      return "our NAT is symmetric, and the peer's drops unsolicited packets"
    if (theirs && nat.filtering !== 'port-independent')
      return "the peer's NAT is symmetric, and ours drops unsolicited packets"
  }
  if (ways.length === 0) return 'no address of the peer is known'
  if (now < peer.search.until) return 'other paths are being tried'
  return `no answer from ${ways
    .slice(0, 2)
    .map(({ endpoint }) => formatEndpoint(endpoint))
    .join(' and ')}: UDP is dropped on the path`
}

function isOpen({ mapping, filtering }: { readonly mapping: NatMapping; readonly filtering: NatFiltering }): boolean {
  return mapping === 'none' && filtering === 'port-independent'
}

/** Another port for each destination: so the endpoint that the beacon sees does not predict what a peer sees. */
function isSymmetric({ mapping }: { readonly mapping: NatMapping }): boolean {
  return mapping === 'address-and-port-dependent' || mapping === 'address-dependent'
}
