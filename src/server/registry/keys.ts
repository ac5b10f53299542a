/** Requests about a node's key: rotation, age, expiry (registry.md §3.7). */
import type { Account, LiveNode } from './directory.ts'
import type { Call } from './request.ts'
import { formatAddress } from '../../base/address.ts'
import { fromBase64 } from '../../base/bytes.ts'
import { prepareKey } from '../../crypto/identity.ts'
import { challenges } from '../../wire/registry-messages.ts'
import { DAY_MS, MAX_KEY_EXPIRY_YEARS } from './constants.ts'
import { parsePublicKey } from './register.ts'
import { authenticate, authenticateOrAdmin, isSigned, notFound } from './request.ts'
import { parseRfc3339, rfc3339 } from './times.ts'

/** Unlike the reference, refuses a key that already belongs to another node: a key must name one id. */
export function rotateKey(call: Call): object | string {
  const nodeId = call.request.number('node_id')
  if (call.directory.live(nodeId) === undefined) return notFound(nodeId)
  if (!isSigned(call)) return 'only the old key names the new one'
  const text = call.request.text('new_public_key')
  const today = authenticate(call, 'node_id', (id) => challenges.rotateKeyTo(id, text))
  const node = typeof today === 'string' ? authenticate(call, 'node_id', challenges.rotateKey) : today
  if (typeof node === 'string') return node
  if (text === '') return 'new public key missing'
  const publicKey = parsePublicKey(text)
  if ('problem' in publicKey) return `invalid new_public_key: ${publicKey.problem}`
  if (!prepareKey(fromBase64(publicKey.key)!)) return 'invalid new_public_key: no one can sign with it' // judged once
  const holder = call.directory.accountByKey(publicKey.key)
  if (holder !== undefined && holder !== node.account) return 'new_public_key already belongs to another node'
  node.account.keyRotatedMs = call.now
  node.account.keyRotations++
  call.directory.replaceKey(node.account, publicKey.key)
  node.lastSeenMs = call.now
  call.directory.saveLive(node)
  call.audit.note(call.now, 'key.rotated', { node: nodeId })
  return {
    type: 'rotate_key_ok',
    node_id: nodeId,
    address: formatAddress({ network: 0, node: nodeId }),
    public_key: publicKey.key,
  }
}

/** Open to all. */
export function getKeyInfo(call: Call): object | string {
  const nodeId = call.request.number('node_id')
  const node = call.directory.live(nodeId)
  if (node === undefined) return notFound(nodeId)
  const { keyCreatedMs, keyRotatedMs, keyRotations, keyExpires } = node.account
  return {
    type: 'get_key_info_ok',
    node_id: nodeId,
    created_at: rfc3339(keyCreatedMs),
    rotate_count: keyRotations,
    key_age_days: keyAgeDays(call.now, node),
    ...(keyRotatedMs > 0 && { rotated_at: rfc3339(keyRotatedMs) }),
    ...(keyExpires !== '' && { expires_at: keyExpires }),
  }
}

/**
 * For members of enterprise networks. Empty or `never` clears. The expiry stays with the account, even after a
 * rotation.
 */
export function setKeyExpiry(call: Call): object | string {
  const node = authenticateOrAdmin(call, 'node_id', challenges.setKeyExpiry)
  if (typeof node === 'string') return node
  const wanted = call.request.text('expires_at')
  const time = wanted === '' || wanted === 'never' ? undefined : endOf(call, wanted)
  if (typeof time === 'string') return time
  const isMember = call.networks.networksOf(node.nodeId).some((id) => call.networks.get(id)?.enterprise === true)
  if (!isMember) return 'enterprise feature: key expiry requires enterprise network membership'
  const old = node.account.keyExpires
  setExpiry(call, node.account, time?.text ?? '', time?.unixMs ?? 0)
  if (time === undefined) {
    call.audit.note(call.now, 'key.expiry_cleared', {
      node: node.nodeId,
      details: old === '' ? '' : `old_expires_at=${old}`,
    })
    return { type: 'set_key_expiry_ok', node_id: node.nodeId }
  }
  call.audit.note(call.now, 'key.expiry_set', {
    node: node.nodeId,
    details: `expires_at=${time.text}${old === '' ? '' : `, old_expires_at=${old}`}`,
  })
  return { type: 'set_key_expiry_ok', node_id: node.nodeId, expires_at: time.text }
}

/** In the future, within ten years; or the refusal. */
function endOf(call: Call, wanted: string): { readonly unixMs: number; readonly text: string } | string {
  const time = parseRfc3339(wanted)
  if (time === undefined) return 'invalid expires_at: no RFC 3339 time'
  if (time.unixMs <= call.now) return 'expires_at lies in the past'
  const latest = new Date(call.now)
  latest.setUTCFullYear(latest.getUTCFullYear() + MAX_KEY_EXPIRY_YEARS)
  return time.unixMs > latest.getTime() ? `invalid expires_at: cannot exceed ${MAX_KEY_EXPIRY_YEARS} years` : time
}

/** The refusal for an expired key. */
export function expiryProblem(call: Call, account: Account): string | undefined {
  const { nodeId, keyExpires, keyExpiresMs } = account
  return keyExpires !== '' && call.now >= keyExpiresMs ? `node ${nodeId}: key expired at ${keyExpires}` : undefined
}

export function keyAgeDays(now: number, node: LiveNode): number {
  const since = Math.max(node.account.keyCreatedMs, node.account.keyRotatedMs)
  return Math.max(0, Math.floor((now - since) / DAY_MS))
}

function setExpiry(call: Call, account: Account, text: string, unixMs: number): void {
  account.keyExpires = text
  account.keyExpiresMs = unixMs
  call.directory.saveAccount(account)
}
