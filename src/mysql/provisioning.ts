/**
 * What lower rooms may ask for without knowing who starts servers. `local/` implements it by processes on this machine;
 * another implementation may call a cloud. A request is idempotent by id: provisioning what exists returns its endpoint.
 */
import type { ConnectOptions, FlavourName } from './connection.ts'
import type { Place } from './server-room.ts'

export type Credentials = { user: string; password: string }

export type ProvisionRequest = {
  /** Unique among the installation's servers, `[a-z0-9-]{1,48}`; names the data directory. */
  id: string
  flavour: FlavourName
  /** Made empty. */
  schemas: readonly string[]
  /** Accounts that the new server must have; see flavour/accounts.ts for their grants. */
  accounts: { admin: Credentials; mover: Credentials; gate: Credentials }
  /** True: the server comes up closed (read_only, client accounts locked) and stays so after a restart until opened. */
  closed: boolean
  /** Extra server settings, `name=value` without dashes. */
  settings?: Readonly<Record<string, string>>
}

export type ServerEndpoint = {
  id: string
  flavour: FlavourName
  version: string
  host: string
  port: number
  socketPath: string | null
  dataDir: string | null
}

/** `which` tells it from one that is made later under the same id. */
export type ListedServer = ServerEndpoint & { readonly which: string }

export interface Provisioner {
  readonly name: string
  /** Flavours that can be provided here and now. */
  flavours(): Promise<FlavourName[]>
  provision(request: ProvisionRequest, signal?: AbortSignal): Promise<ServerEndpoint>
  /** Starts it again if it is down; adopts it if it runs. Throws when nothing of that id was ever provisioned. */
  ensureRunning(id: string, signal?: AbortSignal): Promise<ServerEndpoint>
  /** Stops the server and keeps its data. */
  stop(id: string): Promise<void>
  /**
   * Stops it and deletes its data, for good. Nothing of that id: nothing to do. `which`: as `list` told it when it was judged, null where it was not in there; 'another' of
   * that id, made since by somebody who went on while this caller was paused, is left alone.
   */
  remove(id: string, which: string | null): Promise<'removed' | 'another'>
  list(): Promise<ListedServer[]>
  /** Names of settings that every server made here has because the user says so, as in `my.cnf`. */
  settingsGiven(): readonly string[]
  /** For each later start of a server, beside those that it has; what runs is left as it is. Names of `my.cnf`, with dashes. */
  keepSettings(id: string, settings: Readonly<Record<string, string>>): Promise<void>
  /** Where servers are made, with the room there is; null: not known. */
  place(): Promise<Place | null>
}

export function endpointOptions(endpoint: ServerEndpoint, credentials: Credentials): ConnectOptions {
  return endpoint.socketPath === null
    ? { host: endpoint.host, port: endpoint.port, ...credentials }
    : { socketPath: endpoint.socketPath, ...credentials }
}
