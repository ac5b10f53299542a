/** The services of the gateway itself: `serve` of the file, with `--serve` and PILOTGATE_SERVE on top. */
import { resolve } from 'node:path'
import { PilotError } from '../base/errors.ts'
import { TRUSTED } from '../gateway/model/allow.ts'
import type { GatewayOptions, ServeMessages, ServeOptions } from '../gateway/model/options.ts'
import { expandHome, words } from './paths.ts'
import type { Config } from './schema.ts'
import type { Sources } from './sources.ts'

/** @throws PilotError USAGE for a service that there is not. */
export function servedBy(sources: Sources): Pick<GatewayOptions, 'serve'> {
  const { flags, env, file } = sources
  const named = [...words(env, 'SERVE'), ...(flags.serve ?? [])]
  const unknown = named.find((name) => !SERVICES.some((service) => service === name))
  if (unknown !== undefined)
    throw new PilotError('USAGE', `--serve "${unknown}": expected ${SERVICES.join(' or ')}`, { service: unknown })
  const section = file?.config.serve
  const messages = section?.messages ?? (named.includes('messages') ? { allow: [TRUSTED] } : undefined)
  const events = section?.events ?? (named.includes('events') ? { allow: [TRUSTED] } : undefined)
  const serve: ServeOptions = {
    ...(events !== undefined && {
      events: { allow: [...new Set(events.allow)], ...(events.topics !== undefined && { topics: events.topics }) },
    }),
    ...(messages !== undefined && { messages: messagesOf(messages, sources) }),
  }
  return Object.keys(serve).length === 0 ? {} : { serve }
}

type Messages = NonNullable<NonNullable<Config['serve']>['messages']>

function messagesOf(
  { allow, inbox, received, inboxBytes, receivedBytes, hook }: Messages,
  { file, env }: Sources,
): ServeMessages {
  const path = (written: string): string => resolve(file!.folder, expandHome(written, env))
  return {
    allow: [...new Set(allow)],
    ...(inbox !== undefined && { inbox: path(inbox) }),
    ...(received !== undefined && { received: path(received) }),
    ...(inboxBytes !== undefined && { inboxBytes }),
    ...(receivedBytes !== undefined && { receivedBytes }),
    ...(hook !== undefined && { hook }),
  }
}

const SERVICES = ['messages', 'events'] as const
