/** `register`: a node id for a key, and where that node is now (registry.md §3.1). */
import type { Account, LiveNode } from './directory.ts'
import type { Call } from './request.ts'
import { formatAddress } from '../../base/address.ts'
import { fromBase64 } from '../../base/bytes.ts'
import { formatEndpoint, parseEndpoint } from '../../base/types.ts'
import { canonicalAddress } from '../address.ts'
import { STREAM_EXTENSIONS, challenges } from '../../wire/registry-messages.ts'
import { MAX_LAN_ENDPOINTS, MAX_OWNER_CHARS, PROTOCOL_VERSION, PUBLIC_KEY_BYTES } from './constants.ts'
import { hostnameProblem } from './names.ts'
import { base64Problem, isSigned, signatureProblem } from './request.ts'

/** Reply fields, with a name only if this request set it. */
interface NameOutcome {
  readonly hostname?: string
  readonly hostname_error?: string
}

export function register(call: Call): object | string {
  const sentKey = call.request.text('public_key')
  const known = call.directory.accountByKey(sentKey)
  const { address } = call.source
  const isV6 = address.includes(':')
  const hasTurn =
    call.limiter.take(call.now, 'register', address) && (!isV6 || call.limiter.take(call.now, 'site', address))
  if (!hasTurn && known === undefined) {
    return `rate limited: too many registrations from ${call.source.address}`
  }
  if (sentKey === '') return 'public key missing'
  const publicKey = parsePublicKey(sentKey)
  if ('problem' in publicKey) return `invalid public key: ${publicKey.problem}`

  const signed = isSigned(call)
  if (signed) {
    const problem = signatureProblem(
      call,
      publicKey.key,
      challenges.register(call.request.text('listen_addr'), sentKey),
    )
    if (problem !== undefined) return problem
  } else if (call.options.requireSignedRegister || known?.signedOnce === true) {
    return 'signature required to register this key'
  }

  const mode =
    known === undefined
      ? 'new_node'
      : call.directory.live(known.nodeId) === undefined
        ? 'reclaimed_identity'
        : 'existing_identity'
  const account =
    known ??
    takenOver(call, publicKey.key) ??
    call.directory.createAccount(call.now, publicKey.key, ownerOf(call), signed)
  if (account === undefined) return 'too many nodes'
  noteOwnerAndSignature(call, account, signed)
  if (call.signer !== undefined) call.directory.noteSession(account)
  const node = placeNode(call, account, signed)
  call.audit.note(call.now, mode === 'new_node' ? 'node.registered' : 'node.re_registered', {
    node: node.nodeId,
    details: `mode=${mode}`,
  })
  return {
    type: 'register_ok',
    node_id: node.nodeId,
    address: formatAddress({ network: 0, node: node.nodeId }),
    network_id: 0,
    public_key: account.publicKey,
    observed_addr: node.endpoint,
    protocol_version: PROTOCOL_VERSION,
    ...nameNode(call, node, signed),
    ...(node.externalId !== '' && { external_id: node.externalId }),
  }
}

/** Canonical base64 of 32 bytes: one spelling per key, so that the text can identify it. */
export function parsePublicKey(text: string): { readonly key: string } | { readonly problem: string } {
  const bytes = fromBase64(text)
  if (bytes === undefined) return { problem: `decode public key: ${base64Problem(text)}` }
  if (bytes.length !== PUBLIC_KEY_BYTES) return { problem: `invalid public key size: ${bytes.length}` }
  return { key: text }
}

/** Cases 3 and 4, where allowed: the owner's account gets the new key. */
function takenOver(call: Call, publicKey: string): Account | undefined {
  if (!call.options.compat.has('owner-recovery')) return undefined
  const account = call.directory.accountByOwner(ownerOf(call))
  if (account === undefined || account.signedOnce) return undefined
  call.directory.replaceKey(account, publicKey)
  return account
}

function ownerOf(call: Call): string {
  const owner = call.request.text('owner')
  return owner.length <= MAX_OWNER_CHARS ? owner : ''
}

function noteOwnerAndSignature(call: Call, account: Account, signed: boolean): void {
  call.directory.setOwner(account, ownerOf(call))
  if (signed) call.directory.noteSigned(account)
}

/** Cases 1 and 2: a live node moves, an absent one is reset. */
function placeNode(call: Call, account: Account, signed: boolean): LiveNode {
  const endpoint = observedEndpoint(call)
  const lan = call.request
    .texts('lan_addrs')
    .filter((text) => parseEndpoint(text) !== undefined)
    .slice(0, MAX_LAN_ENDPOINTS)
  const extended = call.request.texts('extensions').includes(STREAM_EXTENSIONS)
  const relayOnly = call.request.flag('relay_only')
  const node = call.directory.live(account.nodeId)
  const said = call.request.text('version')
  const version = VERSION.test(said) ? said : ''
  const udpAddress = signed ? canonicalAddress(parseEndpoint(call.request.text('listen_addr'))?.address ?? '') : ''
  if (node === undefined)
    return call.directory.createLive(call.now, account, {
      endpoint,
      udpAddress,
      lanEndpoints: lan,
      relayOnly,
      extended,
      version,
    })
  node.endpoint = endpoint
  node.udpAddress = udpAddress
  node.lanEndpoints = lan
  node.relayOnly = relayOnly
  node.extended = extended
  node.version = version
  node.lastSeenMs = call.now
  call.directory.saveLive(node)
  return node
}

/** The claimed host is ignored: the TCP source counts, and only the UDP port comes from the node. */
function observedEndpoint(call: Call): string {
  const match = /^(?:\[[^\]]*\]|[^:[\]]*):(\d{1,5})$/.exec(call.request.text('listen_addr'))
  const port = Number(match?.[1] ?? 0)
  return formatEndpoint({ address: call.source.address, port: port > 0 && port <= 65_535 ? port : call.source.port })
}

/** A bad or taken name does not fail the registration. An unsigned registration may name a node, but not rename it. */
function nameNode(call: Call, node: LiveNode, signed: boolean): NameOutcome {
  const hostname = call.request.text('hostname')
  if (hostname === '') return {}
  const problem = hostnameProblem(hostname)
  if (problem !== undefined) return { hostname_error: problem }
  if (!signed && node.hostname !== '' && node.hostname !== hostname) return {}
  return call.directory.setHostname(call.now, node, hostname) ? { hostname } : {}
}

/** Anything else is not shown to others: it is only a claim, and ends in terminals. */
const VERSION = /^[\w.+-]{1,32}$/
