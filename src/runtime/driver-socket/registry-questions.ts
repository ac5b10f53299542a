/**
 * Requests of the driver socket that the registry answers: each becomes a signed request, and its reply is passed on as it
 * is. Above: questions.ts.
 */
import type { OverlayAddress } from '../../base/address.ts'
import { asPilotError } from '../../base/errors.ts'
import {
  decodeBroadcastRequest,
  decodeManagedRequest,
  decodeNetworkRequest,
  decodePreferDirectRequest,
} from '../../wire/ipc-bodies.ts'
import type { NetworkRequest } from '../../wire/ipc-bodies.ts'
import { challenges } from '../../wire/registry-messages.ts'
import type { OverlayNode } from '../node/node.ts'
import { jsonObject, jsonTexts } from './json-object.ts'
import type { Answer } from './host.ts'
import { dialText, DriverRefusal, refusalText } from './refusal.ts'

type SendDatagram = (to: OverlayAddress, port: number, bytes: Uint8Array) => Promise<void>

export class RegistryQuestions {
  readonly #node: OverlayNode
  readonly #sendDatagram: SendDatagram

  constructor(node: OverlayNode, sendDatagram: SendDatagram) {
    this.#node = node
    this.#sendDatagram = sendDatagram
  }

  get #own(): number {
    return this.#node.nodeId
  }

  /** Signed, so that the names of private nodes are found as well. */
  async resolveHostname(hostname: string): Promise<Answer> {
    if (hostname === '') throw new DriverRefusal('resolve_hostname: missing hostname')
    return await this.#node.drivers.ask(
      { type: 'resolve_hostname', hostname, requester_id: this.#own },
      challenges.resolveHostname(this.#own, hostname),
    )
  }

  /** Until the next start: what is configured then counts again. */
  async setHostname(hostname: string): Promise<Answer> {
    const reply = await this.#node.drivers.ask(
      { type: 'set_hostname', node_id: this.#own, hostname },
      challenges.setHostname(this.#own),
    )
    this.#node.drivers.rename(hostname === '' ? undefined : hostname)
    return reply
  }

  /** The same. */
  async setVisibility(body: Uint8Array): Promise<Answer> {
    if (body.length === 0) throw new DriverRefusal('set_visibility: missing value')
    const isPublic = body[0] === 1
    const reply = await this.#node.drivers.ask(
      { type: 'set_visibility', node_id: this.#own, public: isPublic },
      challenges.setVisibility(this.#own),
    )
    this.#node.drivers.setPublic(isPublic)
    return reply
  }

  /** The node continues, and registers again with its next heartbeats. */
  async deregister(): Promise<Answer> {
    return await this.#node.drivers.ask({ type: 'deregister', node_id: this.#own }, challenges.deregister(this.#own))
  }

  async setTags(text: string): Promise<Answer> {
    const tags = jsonTexts('set_tags', text)
    if (tags.length > MAX_TAGS) throw new DriverRefusal(`set_tags: maximum ${MAX_TAGS} tags allowed`)
    return await this.#node.drivers.ask({ type: 'set_tags', node_id: this.#own, tags }, challenges.setTags(this.#own))
  }

  async network(body: Uint8Array): Promise<Answer> {
    const request = decodeNetworkRequest(body)
    if (typeof request === 'string') throw new DriverRefusal(request)
    try {
      return await this.#askNetwork(request)
    } catch (error) {
      throw new DriverRefusal(refusalText(`network ${request.sub.replace('_', '-')}`, error))
    }
  }

  async #askNetwork(request: NetworkRequest): Promise<Answer> {
    const { drivers } = this.#node
    const own = this.#own
    switch (request.sub) {
      case 'list':
        return await drivers.ask({ type: 'list_networks' })
      case 'join': {
        const { network, token } = request
        return await drivers.ask(
          { type: 'join_network', node_id: own, network_id: network, token },
          challenges.joinNetwork(own, network),
        )
      }
      case 'leave':
        return await drivers.ask(
          { type: 'leave_network', node_id: own, network_id: request.network },
          challenges.leaveNetwork(own, request.network),
        )
      case 'members':
        return await this.#members(request.network)
      case 'invite': {
        const { network, node } = request
        return await drivers.ask(
          { type: 'invite_to_network', network_id: network, inviter_id: own, target_node_id: node },
          challenges.inviteToNetwork(own, network, node),
        )
      }
      case 'poll_invites':
        return await drivers.ask({ type: 'poll_invites', node_id: own }, challenges.pollInvites(own))
      case 'respond_invite': {
        const { network, accept } = request
        return await drivers.ask(
          { type: 'respond_invite', node_id: own, network_id: network, accept },
          challenges.respondInvite(own, network),
        )
      }
    }
  }

  async #members(network: number): Promise<Answer> {
    return await this.#node.drivers.ask(
      { type: 'list_nodes', network_id: network, node_id: this.#own, requester_id: this.#own },
      challenges.byRole('list_nodes', this.#own, network),
    )
  }

  /** No policies run here: their effects are local, and nothing waits for them. Tags of members are the registry's. */
  async managed(body: Uint8Array): Promise<Answer> {
    const request = decodeManagedRequest(body)
    if (typeof request === 'string') throw new DriverRefusal(request)
    const { drivers } = this.#node
    switch (request.sub) {
      case 'status':
      case 'cycle':
        throw new DriverRefusal('managed: no active managed networks')
      case 'reconcile':
        throw new DriverRefusal('managed: no active policy runner for network')
      case 'get_policy':
        return { type: 'managed_policy_ok', engine: 'none', network_id: request.network }
      case 'set_policy':
        throw new DriverRefusal('managed policy set: not supported by this daemon')
      case 'get_tags':
      case 'set_tags': {
        const { network, node } = request
        const type = request.sub === 'get_tags' ? 'get_member_tags' : 'set_member_tags'
        const what = request.sub === 'get_tags' ? 'member-tags get' : 'member-tags set'
        const tags = request.sub === 'set_tags' ? { tags: jsonTexts(what, request.tags) } : {}
        return await drivers
          .ask(
            { type, network_id: network, node_id: this.#own, target_node_id: node, ...tags },
            challenges.byRole(type, this.#own, network, node),
          )
          .catch((error: unknown) => {
            throw new DriverRefusal(refusalText(what, error))
          })
      }
    }
  }

  /** One datagram to each member: as far as they can be reached. The answer is empty, as daemons' is. */
  async broadcast(body: Uint8Array): Promise<string> {
    const request = decodeBroadcastRequest(body)
    if (typeof request === 'string') throw new DriverRefusal(request)
    const { network, port, data } = request
    if (network === 0) throw new DriverRefusal('broadcast: broadcast not permitted on backbone network')
    const reply = await this.#members(network).catch((error: unknown) => {
      throw new DriverRefusal(refusalText('broadcast: list nodes for broadcast', error))
    })
    const members = memberIds(reply).filter((node) => node !== this.#own)
    const copy = Uint8Array.from(data)
    for (const node of members.slice(0, MAX_BROADCAST))
      void this.#sendDatagram({ network, node }, port, copy).catch(() => {}) // lost, as datagrams are
    return ''
  }

  async preferDirect(body: Uint8Array): Promise<Answer> {
    const node = decodePreferDirectRequest(body)
    if (typeof node === 'string') throw new DriverRefusal(node)
    const found = this.#node.drivers.preferDirect(node)
    const resolveError = await this.#node.about(node).then(
      () => '',
      (error: unknown) =>
        asPilotError(error).code === 'NOT_FOUND' ? dialText(node, error) : `resolve node ${node}: ${String(error)}`,
    )
    return {
      node_id: node,
      had_tunnel: found !== undefined,
      was_relay_active: found?.byRelay ?? false,
      was_relay_pinned: found?.relayOnly ?? false,
      pila_pushed: false, // the tunnel stays: only its path is sought again
      resolve_error: resolveError,
    }
  }

  async submitBadge(text: string): Promise<Answer> {
    const asked = jsonObject('submit_badge', text)
    const [badge, signature] = [asked.text('badge'), asked.text('badge_sig')]
    if (badge === '' || signature === '') throw new DriverRefusal('submit_badge: badge and badge_sig required')
    return await this.#node.drivers.ask(
      { type: 'submit_badge', node_id: this.#own, badge, badge_sig: signature },
      challenges.submitBadge(this.#own, badge),
    )
  }

  async enrollRecovery(text: string): Promise<Answer> {
    const asked = jsonObject('enroll_recovery', text)
    const [enrollment, signature] = [asked.text('enrollment'), asked.text('enrollment_sig')]
    if (enrollment === '' || signature === '')
      throw new DriverRefusal('enroll_recovery: enrollment and enrollment_sig required')
    return await this.#node.drivers.ask(
      { type: 'enroll_recovery', node_id: this.#own, enrollment, enrollment_sig: signature },
      challenges.enrollRecovery(this.#own, enrollment),
    )
  }
}

function memberIds(reply: Answer): number[] {
  const nodes = reply['nodes']
  if (!Array.isArray(nodes)) return []
  return nodes.flatMap((entry: unknown) => {
    const id = typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>)['node_id'] : undefined
    return typeof id === 'number' ? [id] : []
  })
}

/** As daemons limit what the registry would take more of. */
const MAX_TAGS = 3
/** Members that one broadcast reaches: each may need a tunnel. */
const MAX_BROADCAST = 1_024
