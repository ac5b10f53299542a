/**
 * `explain`: dials a target step by step and reports each: name → address → trust → path → port. Each step says what it
 * found and why; the first failure ends it. The last step opens a connection and resets it.
 */
import { formatAddress, parsePeerName } from '../../base/address.ts'
import { asPilotError, ERRORS, PilotError } from '../../base/errors.ts'
import type { Overlay } from '../../runtime/overlay.ts'
import type { PathPolicy } from '../model/path-policy.ts'
import type { ExplainRecord, ExplainStep } from '../model/records.ts'

export type ExplainNode = Pick<Overlay, 'resolve' | 'hostnameOf' | 'isTrusted' | 'connect' | 'pathTo' | 'dial'>

export interface ExplainTarget {
  readonly target: string // as a person wrote it
  readonly peer: string
  readonly port: number | undefined
  readonly policy: PathPolicy
  readonly mapping: string | undefined // name of the mapping that it is
}

export async function explain(
  node: ExplainNode,
  { target, peer, port, policy, mapping }: ExplainTarget,
): Promise<ExplainRecord> {
  const steps: ExplainStep[] = []
  const ok = (step: ExplainStep['step'], text: string): void => void steps.push({ step, state: 'ok', text })
  const record = (code: ExplainRecord['code']): ExplainRecord => ({
    target,
    peer,
    port: port ?? null,
    reachable: code === null,
    code,
    steps,
  })
  let step: ExplainStep['step'] = 'name'
  try {
    const isName = parsePeerName(peer)?.kind === 'hostname'
    const id = await node.resolve(peer)
    ok(
      'name',
      `${mapping === undefined ? '' : `the mapping ${mapping} leads to ${peer}; `}${isName ? `the name ${peer} stands for node ${id}` : `${peer} is an address, so no name has to be resolved`}`,
    )
    const hostname = node.hostnameOf(id)
    ok('address', `${formatAddress({ network: 0, node: id })}${hostname === undefined ? '' : `, known as ${hostname}`}`)
    step = 'trust'
    const trusted = await node.isTrusted(id)
    ok('trust', trusted ? 'we trust it, and the registry knows' : 'we do not trust it; it answers only if it is public')
    step = 'path'
    await node.connect(peer)
    const path = node.pathTo(id) ?? undefined
    ok('path', path === undefined ? 'the tunnel is up' : `${path.reason} (${path.endpoint})`)
    if (path?.kind === 'relay' && policy === 'direct')
      throw new PilotError('RELAY_REFUSED', 'path: direct refuses the relay')
    step = 'port'
    if (port === undefined) steps.push({ step, state: 'skipped', text: 'no port was given' })
    else {
      const stream = await node.dial(`${peer}:${port}`)
      stream.on('error', () => {})
      stream.resetAndDestroy()
      ok('port', `port ${port} accepts connections`)
    }
    return record(null)
  } catch (error) {
    const { code, message, hint } = asPilotError(error)
    steps.push({ step, state: 'fail', text: message, hint }, ...notTried(step))
    return record(code)
  }
}

/** A mapping to several: the record of the first reachable one, otherwise of the first; the others are attached. */
export async function explainSeveral(
  node: ExplainNode,
  asked: ExplainTarget,
  peers: readonly string[],
): Promise<ExplainRecord> {
  if (peers.length === 0) return nobody(asked)
  const records = await Promise.all(peers.map((peer) => explain(node, { ...asked, peer })))
  const first = records.find(({ reachable }) => reachable) ?? records[0]!
  return records.length === 1 ? first : { ...first, others: records.filter((record) => record !== first) }
}

/** Of a tag that no trusted peer has. */
function nobody({ target, peer, port, mapping }: ExplainTarget): ExplainRecord {
  const code = 'PEER_UNREACHABLE'
  const text = `the mapping ${mapping ?? ''} leads to ${peer}, and no trusted peer has this tag`
  return {
    target,
    peer,
    port: port ?? null,
    reachable: false,
    code,
    steps: [{ step: 'name', state: 'fail', text, hint: ERRORS[code].hint }, ...notTried('name')],
  }
}

function notTried(after: ExplainStep['step']): ExplainStep[] {
  return STEPS.slice(STEPS.indexOf(after) + 1).map((step) => ({ step, state: 'skipped', text: 'not tried' }))
}

const STEPS: readonly ExplainStep['step'][] = ['name', 'address', 'trust', 'path', 'port']
