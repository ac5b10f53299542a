/**
 * Answers nodes that determine their NAT (docs/nat.md): the beacon's second socket sees them a second time, and may
 * send to them unsolicited. No answer is larger than its request, and each goes back to the source of its request.
 */
import type { Endpoint } from '../../base/types.ts'
import type { DiscoverProbe } from '../../wire/beacon-messages.ts'
import { decodeBeaconMessage, encodeProbeReply } from '../../wire/beacon-messages.ts'

/**
 * `second`: from the second socket. `relay`: may wait its turn among the relayed ones. Absent: immediately, from the
 * first socket.
 */
export type Send = (bytes: Uint8Array, to: Endpoint, how?: 'second' | 'relay') => void

/** To a probe that came to the first socket. @param secondPort 0: there is no second socket. */
export function answerProbe(probe: DiscoverProbe, from: Endpoint, secondPort: number, send: Send): void {
  send(encodeProbeReply(from, { port: secondPort, isSource: false }), from)
  if (probe.answerFromSecond && secondPort !== 0)
    send(encodeProbeReply(from, { port: secondPort, isSource: true }), from, 'second')
}

/** A datagram to the second socket, which accepts only probes. @returns whether it was one. */
export function handleAtSecond(bytes: Uint8Array, from: Endpoint, secondPort: number, send: Send): boolean {
  const message = decodeBeaconMessage(bytes)
  if (typeof message === 'string' || message.kind !== 'discover' || message.probe === undefined) return false
  send(encodeProbeReply(from, { port: secondPort, isSource: true }), from, 'second')
  return true
}
