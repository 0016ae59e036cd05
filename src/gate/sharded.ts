/** Statements on sharded keyspaces: by the planner. (Stands in until the planner is here.) */
import type { ServerConnection } from '../mysql/server-connection.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import type { SessionStatement } from './prepared.ts'
import type { Runner } from './runner.ts'

export class Sharded {
  readonly #core: Core
  constructor(core: Core, _runner: Runner, _client: ServerConnection) {
    this.#core = core
  }
  kill(): void {}
  async query(keyspace: string, _sql: Buffer, _signal: AbortSignal, _any: boolean): Promise<void> {
    await this.#core.ready(keyspace, _signal)
    throw gateErrors.notReady({ keyspace, reason: 'sharded keyspaces are not routed yet' })
  }
  async prepare(keyspace: string, _text: Buffer, _id: number, _signal: AbortSignal): Promise<{ paramCount: number; answer: Buffer }> {
    throw gateErrors.notReady({ keyspace, reason: 'sharded keyspaces are not routed yet' })
  }
  async execute(statement: SessionStatement, _framed: Buffer, _longData: readonly Buffer[], _signal: AbortSignal): Promise<void> {
    throw gateErrors.notReady({ keyspace: statement.keyspace, reason: 'sharded keyspaces are not routed yet' })
  }
}
