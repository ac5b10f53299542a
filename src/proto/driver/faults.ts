/** What a daemon answers to a request that it cannot read: drivers look for the text of an unknown command. */
import { hexByte } from '../../wire/ipc-bodies.ts'
import type { IpcRequestFault } from '../../wire/ipc-messages.ts'

/** @returns undefined for requests that are never answered, whatever is wrong with them. */
export function faultText(fault: IpcRequestFault, message: Uint8Array): string | undefined {
  const command = message[0] ?? 0
  switch (fault) {
    case 'empty':
      return undefined
    case 'unknown_command':
      return unknownCommand(command)
    case 'missing_sub':
      return 'handshake: missing sub-command'
    case 'unknown_sub':
      return `handshake: unknown sub-command ${hexByte(message[1]!)}`
    case 'missing_node':
      return `handshake ${['request', 'approve', 'reject', '', '', 'revoke'][message[1]! - 1]}: missing node_id`
    case 'missing_wait':
      return 'handshake wait: payload must be [nodeID(4)][timeoutMs(4)]'
    case 'missing_port':
      return command === UNBIND ? 'unbind: port is required' : 'bind: missing port'
    case 'missing_address':
      return command === DIAL
        ? 'dial: missing address/port'
        : command === CONFIRM
          ? 'sendto: missing header'
          : undefined
    case 'missing_connection':
      return command === CLOSE ? 'close: missing conn_id' : undefined
  }
}

export function unknownCommand(command: number): string {
  return `unknown command: ${hexByte(command)}`
}

const DIAL = 0x03
const CLOSE = 0x08
const UNBIND = 0x37
const CONFIRM = 0x39
