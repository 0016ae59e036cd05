/** A server that runs, as whoever asked for it gets it. */
import { join } from 'node:path'
import type { LocalFlavour } from './installs.ts'
import type { ProcessIdentity } from './process-identity.ts'
import type { ServerRecord } from './server-record.ts'

export type LocalServer = {
  readonly id: string
  readonly flavour: LocalFlavour
  readonly version: string
  readonly dir: string
  readonly host: '127.0.0.1'
  readonly port: number
  readonly socketPath: string
  readonly pid: number
  readonly serverId: number
  /** True when it ran already. */
  readonly adopted: boolean
  /** The port that was wanted and taken by another program, else null. */
  readonly movedFromPort: number | null
  readonly logFile: string
}

export function describe(
  dir: string,
  record: ServerRecord,
  identity: ProcessIdentity,
  adopted: boolean,
  movedFromPort: number | null,
): LocalServer {
  return {
    id: record.id,
    flavour: record.flavour,
    version: record.version,
    dir,
    host: '127.0.0.1',
    port: record.port,
    socketPath: record.socketPath,
    pid: identity.pid,
    serverId: record.serverId,
    adopted,
    movedFromPort,
    logFile: join(dir, 'server.log'),
  }
}
