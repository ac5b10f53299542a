/**
 * The requests on the driver socket that are answered with JSON. Above: server.ts. What each answers, and each text that
 * refuses, is what a daemon of release 1.18 was seen to say.
 */
import { fromUtf8 } from '../../base/bytes.ts'
import type { DriverQuery, DriverQuestion } from '../../proto/driver/client.ts'
import type { OverlayNode } from '../node/node.ts'
import { signEnvelope, verifyEnvelope } from './envelopes.ts'
import { fitJson } from './fit-json.ts'
import type { Answer, DriverHost, Present } from './host.ts'
import { healthRecord, infoRecord } from './records.ts'
import { DriverRefusal } from './refusal.ts'
import { RegistryQuestions } from './registry-questions.ts'
import { TrustQuestions } from './trust-questions.ts'

export class Questions {
  readonly #node: OverlayNode
  readonly #present: () => Present
  readonly #trust: TrustQuestions
  readonly #registry: RegistryQuestions

  constructor(
    node: OverlayNode,
    { present, sendDatagram }: Pick<DriverHost, 'sendDatagram'> & { readonly present: () => Present },
  ) {
    this.#node = node
    this.#present = present
    this.#trust = new TrustQuestions(node)
    this.#registry = new RegistryQuestions(node, sendDatagram)
  }

  onTrust(): void {
    this.#trust.onTrust()
  }

  /** @throws DriverRefusal, RegistryRefusal, PilotError. */
  async answer(request: DriverQuestion, gone: AbortSignal): Promise<string> {
    if (request.kind === 'handshake') return fitJson(await this.#trust.answer(request, gone))
    const { query, body } = request
    // its answer is nothing at all
    if (query === 'broadcast') return await this.#registry.broadcast(body)
    return fitJson(await this.#query(query, body))
  }

  async #query(query: Exclude<DriverQuery, 'broadcast'>, body: Uint8Array): Promise<Answer> {
    const text = fromUtf8(body)
    switch (query) {
      case 'info':
        return infoRecord(this.#node, this.#present(), await this.#pending())
      case 'health':
        return healthRecord(this.#node, this.#present(), await this.#pending())
      case 'resolve_hostname':
        return await this.#registry.resolveHostname(text)
      case 'set_hostname':
        return await this.#registry.setHostname(text)
      case 'set_visibility':
        return await this.#registry.setVisibility(body)
      case 'deregister':
        return await this.#registry.deregister()
      case 'set_tags':
        return await this.#registry.setTags(text)
      case 'network':
        return await this.#registry.network(body)
      case 'managed':
        return await this.#registry.managed(body)
      case 'submit_badge':
        return await this.#registry.submitBadge(text)
      case 'enroll_recovery':
        return await this.#registry.enrollRecovery(text)
      case 'prefer_direct':
        return await this.#registry.preferDirect(body)
      case 'sign_envelope':
        return signEnvelope(this.#node, text)
      case 'verify_envelope':
        return await verifyEnvelope(this.#node, text)
      case 'set_webhook':
        return setWebhook(text)
      case 'rotate_key':
        throw new DriverRefusal('rotate_key: not supported by this daemon')
    }
  }

  async #pending(): Promise<number> {
    return (await this.#node.pendingTrust()).length
  }
}

/** We have none, and taking one away is allowed. */
function setWebhook(url: string): Answer {
  if (url === '') return { webhook: '' }
  throw new DriverRefusal('set_webhook: not supported by this daemon: read the events of `pilotgate up --json` instead')
}
