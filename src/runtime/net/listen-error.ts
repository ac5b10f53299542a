/** Turns the system's error on listening into one that says what to do. */
import { PilotError } from '../../base/errors.ts'

/** @param what the service that wanted to listen: `mapping agent-b:80`, `proxy`, `UDP`. @param where ip:port. */
export function listenError(error: NodeJS.ErrnoException, what: string, where: string): PilotError {
  const details = { service: what, local: where }
  switch (error.code) {
    case 'EADDRINUSE':
      return new PilotError('PORT_IN_USE', `${what}: ${where} is in use`, details, error)
    case 'EACCES':
      return new PilotError('PORT_FORBIDDEN', `${what}: binding ${where} is not permitted`, details, error)
    case 'EADDRNOTAVAIL':
      return new PilotError('ADDRESS_UNAVAILABLE', `${what}: this machine has no address ${where}`, details, error)
    default:
      return new PilotError('FAILED', `${what}: ${where}: ${error.message}`, details, error)
  }
}
