/**
 * Polo scores (registry.md §3.8): a number that nodes keep about each other's work. The reference lets anyone set it;
 * ours only with `unsigned-scores`, and never counts it as a sign of life.
 */
import type { LiveNode } from './directory.ts'
import type { Call } from './request.ts'
import { formatAddress } from '../../base/address.ts'
import { MAX_SCORE } from './constants.ts'

/** Open to all. */
export function getPoloScore(call: Call): object | string {
  const node = scored(call)
  return typeof node === 'string' ? node : scoreReply('get_polo_score_ok', node)
}

export function updatePoloScore(call: Call): object | string {
  const delta = call.request.integer('delta')
  if (delta === undefined || Math.abs(delta) > MAX_SCORE) return 'delta out of range'
  return change(
    call,
    'update_polo_score_ok',
    (score) => Math.max(-MAX_SCORE, Math.min(MAX_SCORE, score + delta)),
    (score) => ['updated', `delta=${delta}, new_score=${score}`],
  )
}

export function setPoloScore(call: Call): object | string {
  const wanted = call.request.integer('polo_score')
  if (wanted === undefined || Math.abs(wanted) > MAX_SCORE) return 'score out of range'
  return change(
    call,
    'set_polo_score_ok',
    () => wanted,
    (score) => ['set', `polo_score=${score}`],
  )
}

function change(
  call: Call,
  type: string,
  next: (score: number) => number,
  note: (score: number) => readonly [string, string],
): object | string {
  const node = scored(call)
  if (typeof node === 'string') return node
  if (!call.options.compat.has('unsigned-scores')) return 'scores are not changed by strangers'
  node.poloScore = next(node.poloScore)
  call.directory.saveLive(node)
  const [action, details] = note(node.poloScore)
  call.audit.note(call.now, `polo_score.${action}`, { node: node.nodeId, details })
  return scoreReply(type, node)
}

function scored(call: Call): LiveNode | string {
  const nodeId = call.request.number('node_id')
  return call.directory.live(nodeId) ?? `node ${nodeId} not found`
}

function scoreReply(type: string, node: LiveNode): object {
  return {
    type,
    node_id: node.nodeId,
    address: formatAddress({ network: 0, node: node.nodeId }),
    polo_score: node.poloScore,
  }
}
