/** Signed request envelopes: made with our key, and judged by the key that the registry, or trust, has for the signer. */
import { createHash, randomBytes } from 'node:crypto'
import { formatAddress } from '../../base/address.ts'
import { fromBase64, utf8 } from '../../base/bytes.ts'
import { asPilotError } from '../../base/errors.ts'
import { verifySignature } from '../../crypto/identity.ts'
import { challenges } from '../../wire/registry-messages.ts'
import { formatEnvelope, parseEnvelope } from '../../wire/request-envelope.ts'
import type { OverlayNode } from '../node/node.ts'
import { jsonObject } from './json-object.ts'
import type { Answer } from './host.ts'
import { DriverRefusal } from './refusal.ts'

/** JSON `{audience, body_hash | body_b64, nonce?}`. @throws DriverRefusal. */
export function signEnvelope(node: OverlayNode, text: string): Answer {
  const refuse = (why: string): never => {
    throw new DriverRefusal(`sign_envelope: ${why}`)
  }
  const asked = jsonObject('sign_envelope', text)
  const audience = asked.text('audience')
  const hash = asked.text('body_hash')
  const body = asked.text('body_b64')
  if (audience === '') return refuse('audience required')
  if (hash === '' && body === '') return refuse('body_hash or body_b64 required')
  if (hash !== '' && body !== '') return refuse('body_hash and body_b64 are mutually exclusive')
  const bytes = body === '' ? undefined : fromBase64(body)
  if (body !== '' && bytes === undefined) return refuse('body_b64 is not base64')
  const envelope = formatEnvelope({
    address: { network: 0, node: node.nodeId },
    unixSeconds: Math.floor(Date.now() / 1000),
    nonce: asked.text('nonce') || randomBytes(NONCE_BYTES).toString('hex'),
    bodyHash: bytes === undefined ? hash : createHash('sha256').update(bytes).digest('hex'),
    audience,
  })
  if (typeof envelope === 'string') return refuse(envelope)
  return {
    type: 'sign_envelope_ok',
    address: node.address,
    envelope: envelope.text,
    signature: node.drivers.sign(envelope.text),
  }
}

/** JSON `{envelope, signature, max_skew_secs?, check_standing?}`. @throws DriverRefusal if it is not that. */
export async function verifyEnvelope(node: OverlayNode, text: string): Promise<Answer> {
  const asked = jsonObject('verify_envelope', text)
  const [written, signature] = [asked.text('envelope'), asked.text('signature')]
  if (written === '' || signature === '') throw new DriverRefusal('verify_envelope: envelope and signature required')
  const invalid = (reason: string): Answer => ({ type: 'verify_envelope_ok', valid: false, reason })
  const envelope = parseEnvelope(written)
  if (typeof envelope === 'string') return invalid(envelope)
  const { address, unixSeconds } = envelope
  const sealed = fromBase64(signature)
  if (sealed === undefined) return invalid('reqsig: signature not base64')
  let key: Uint8Array | undefined
  try {
    key = fromBase64(await keyOf(node, address.node))
  } catch (error) {
    const { code, message } = asPilotError(error)
    const why = code === 'NOT_FOUND' ? `registry: node ${address.node}: node not found` : message
    return invalid(`public key for node ${address.node} unavailable: lookup node ${address.node}: ${why}`)
  }
  if (key === undefined || sealed.length !== SIGNATURE_BYTES || !verifySignature(key, utf8(written), sealed))
    return invalid('reqsig: signature verification failed')
  const given = asked.number('max_skew_secs')
  const skewSecs = given > 0 ? given : DEFAULT_SKEW_SECS
  if (Math.abs(Date.now() / 1000 - unixSeconds) > skewSecs)
    return invalid(`reqsig: envelope timestamp outside ±${goDuration(skewSecs)} window`)
  return {
    type: 'verify_envelope_ok',
    valid: true,
    node_id: address.node,
    address: formatAddress(address),
    verified_via: node.keyOf(address.node) === undefined && address.node !== node.nodeId ? 'registry' : 'cache',
    trusted: await node.isTrusted(address.node),
    ...(asked.flag('check_standing') && (await standingOf(node, address.node))),
  }
}

/** A key that we have seen proven or have pinned comes before what the registry says. */
async function keyOf(node: OverlayNode, signer: number): Promise<string> {
  if (signer === node.nodeId) return node.publicKey
  return node.keyOf(signer) ?? (await node.about(signer)).publicKey
}

/** What the registry says of the signer now; it only answers for nodes that it has heard lately. */
async function standingOf(node: OverlayNode, signer: number): Promise<Answer> {
  const request = { type: 'lookup', node_id: signer, requester_id: node.nodeId }
  const reply = await node.drivers.ask(request, challenges.lookup(node.nodeId, signer)).catch(() => undefined)
  if (reply === undefined) return { network_member: false }
  const { key_generation: generation, last_seen_unix: seen } = reply
  return {
    network_member: true,
    ...(typeof generation === 'number' && { key_generation: generation }),
    ...(typeof seen === 'number' && { last_seen_unix: seen, online: Date.now() / 1000 - seen < ONLINE_SECS }),
  }
}

/** As Go writes whole seconds: 5m0s. */
function goDuration(seconds: number): string {
  const whole = Math.floor(seconds)
  const [hours, minutes] = [Math.floor(whole / 3_600), Math.floor((whole % 3_600) / 60)]
  const rest = `${whole % 60}s`
  if (hours > 0) return `${hours}h${minutes}m${rest}`
  return minutes > 0 ? `${minutes}m${rest}` : rest
}

const DEFAULT_SKEW_SECS = 300
/** Nodes are heard each 30 s or 60 s; the registry forgets them after three minutes. */
const ONLINE_SECS = 180
const NONCE_BYTES = 8
const SIGNATURE_BYTES = 64
