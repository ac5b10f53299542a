/**
 * Answers nodes that determine their NAT (docs/nat.md): the beacon's second socket sees them a second time, and may
 * send to them unsolicited. No answer is larger than its request, and each goes back to the source of its request.
 */
import type { Endpoint } from '../../base/types.ts'
import type { DiscoverQuestion } from '../../wire/beacon-messages.ts'
import { decodeBeaconMessage, encodeAnswer } from '../../wire/beacon-messages.ts'

/**
 * `second`: from the second socket. `relay`: may wait its turn among the relayed ones. Absent: immediately, from the
 * first socket.
 */
export type Send = (bytes: Uint8Array, to: Endpoint, how?: 'second' | 'relay') => void

/** To a question that came to the first socket. @param secondPort 0: there is no second socket. */
export function answerQuestion(
  { transaction, answerFromSecond }: DiscoverQuestion,
  from: Endpoint,
  secondPort: number,
  send: Send,
): void {
  send(encodeAnswer(from, { transaction, secondPort, isFromSecond: false }), from)
  if (answerFromSecond && secondPort !== 0)
    send(encodeAnswer(from, { transaction, secondPort, isFromSecond: true }), from, 'second')
}

/** A datagram to the second socket, which answers questions only. @returns whether it was one. */
export function handleAtSecond(bytes: Uint8Array, from: Endpoint, secondPort: number, send: Send): boolean {
  const message = decodeBeaconMessage(bytes)
  if (typeof message === 'string' || message.kind !== 'discover' || message.question === undefined) return false
  const { transaction } = message.question
  send(encodeAnswer(from, { transaction, secondPort, isFromSecond: true }), from, 'second')
  return true
}
