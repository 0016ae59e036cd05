import type { FlavourName } from './connection.ts'

/** A server that can be connected to, with the account that may do everything on it. */
export type ServerEndpoint = {
  readonly id: string
  readonly flavour: FlavourName
  readonly version: string
  readonly host: string
  readonly port: number
  readonly socketPath: string | null
  readonly dataDir: string | null
  readonly admin: { readonly user: string; readonly password: string }
}

export type ProvisionRequest = { readonly id: string; readonly flavour: FlavourName }

/**
 * Makes and removes servers for us: local processes here, something else where a cloud or an operator does it. Each call
 * is idempotent by the server's id: repeated after a crash it answers what is there.
 */
export interface Provisioner {
  /** Makes the server when it is not there, starts it when it does not run. */
  provision(request: ProvisionRequest): Promise<ServerEndpoint>
  /** Stops the server and removes its data. Nothing to do when there is none. Only ever called for ids that `provision` made (promise 12). */
  remove(id: string): Promise<void>
}
